# conclave_library(<name> SOURCES a.cc ... DEPS lib ...): a static library whose includes start at the repository root.
function(conclave_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PUBLIC ${ARG_DEPS})
endfunction()

# Builds every test that the sanitizer presets run.
add_custom_target(unit_tests)

# conclave_test(<name> SOURCES a_test.cc ... DEPS lib ... [LABELS unit]): one GoogleTest program, one ctest entry per
# test suite program. Label "unit" (the default) marks what the sanitizer presets run too.
function(conclave_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE CONCLAVE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  if("unit" IN_LIST ARG_LABELS)
    add_dependencies(unit_tests ${name})
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/cmake/tsan.supp")
endfunction()

# conclave_protos(<name> FILES a.proto ... [GRPC]): the messages of the files, generated as if in the source tree, so that
# they are included as "kvstore/proto/a.pb.h". With GRPC, the stubs of grpc++ as well.
function(conclave_protos name)
  cmake_parse_arguments(ARG "GRPC" "" "FILES;DEPS" ${ARGN})
  set(generated "")
  foreach(file IN LISTS ARG_FILES)
    string(REGEX REPLACE "\\.proto$" "" stem "${file}")
    set(out "${PROJECT_BINARY_DIR}/generated")
    set(outputs "${out}/${stem}.pb.cc" "${out}/${stem}.pb.h")
    set(plugin "--cpp_out=${out}")
    if(ARG_GRPC)
      set(outputs "${out}/${stem}.grpc.pb.cc" "${out}/${stem}.grpc.pb.h")
      set(plugin "--grpc_out=${out}" "--plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>")
    endif()
    add_custom_command(
      OUTPUT ${outputs}
      COMMAND ${CMAKE_COMMAND} -E make_directory "${out}"
      COMMAND protobuf::protoc -I "${PROJECT_SOURCE_DIR}" ${plugin} "${PROJECT_SOURCE_DIR}/${file}"
      DEPENDS "${PROJECT_SOURCE_DIR}/${file}"
      COMMENT "protoc ${file}"
      VERBATIM)
    list(APPEND generated ${outputs})
  endforeach()
  add_library(${name} STATIC ${generated})
  target_include_directories(${name} SYSTEM PUBLIC "${PROJECT_BINARY_DIR}/generated")
  target_link_libraries(${name} PUBLIC protobuf::libprotobuf ${ARG_DEPS})
  target_compile_options(${name} PRIVATE -w)
endfunction()

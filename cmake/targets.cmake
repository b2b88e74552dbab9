# conclave_library(<name> SOURCES a.cc ... [APART b.cc ...] DEPS lib ... [OWN lib ...]): a static library whose includes start at
# the repository root. APART are sources that cannot be compiled together with others.
# <name>_sim is the same library for the simulator, with the seeded bugs and probes that do not exist in production
# (raft/base/seeded_bug.h, raft/base/probe.h). It is built only where something links it, and links the _sim form of each
# dependency that has one, so a program holds either form of all of them and never a mix. OWN is what its headers do not show. With SIMULATION the plain form,
# too, is built only where something links it.
function(conclave_library name)
  cmake_parse_arguments(ARG "SIMULATION" "" "SOURCES;APART;DEPS;OWN" ${ARGN})
  set(only_linked "")
  if(ARG_SIMULATION)
    set(only_linked EXCLUDE_FROM_ALL)
  endif()
  conclave_split_sources(two_forms one_form ${ARG_SOURCES} ${ARG_APART})
  set_source_files_properties(${ARG_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  set(same_objects "")
  if(one_form)
    add_library(${name}_same OBJECT EXCLUDE_FROM_ALL ${one_form})
    target_include_directories(${name}_same PUBLIC "${PROJECT_SOURCE_DIR}")
    target_link_libraries(${name}_same PRIVATE ${ARG_DEPS} ${ARG_OWN})
    conclave_join_sources(${name}_same)
    conclave_precompile(${name}_same KIND library DEPS ${ARG_DEPS})
    set(same_objects $<TARGET_OBJECTS:${name}_same>)
  endif()
  add_library(${name} STATIC ${only_linked} ${two_forms} ${same_objects})
  target_include_directories(${name} PUBLIC "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_OWN})

  add_library(${name}_sim STATIC EXCLUDE_FROM_ALL ${two_forms} ${same_objects})
  target_include_directories(${name}_sim PUBLIC "${PROJECT_SOURCE_DIR}")
  target_compile_definitions(${name}_sim PUBLIC CONCLAVE_SIMULATION=1)
  # Decided when the build files are written, for a dependency may be defined later than this.
  list(TRANSFORM ARG_DEPS REPLACE "^(.+)$" "$<IF:$<TARGET_EXISTS:\\1_sim>,\\1_sim,\\1>" OUTPUT_VARIABLE sim_deps)
  target_link_libraries(${name}_sim PUBLIC ${sim_deps} PRIVATE ${ARG_OWN})
  foreach(form IN ITEMS ${name} ${name}_sim)
    set_target_properties(${form} PROPERTIES LINKER_LANGUAGE CXX)  # all of its sources may be in ${name}_same
    conclave_join_sources(${form})
    conclave_precompile(${form} KIND library DEPS ${ARG_DEPS})
  endforeach()
endfunction()

# conclave_split_sources(<two_forms> <one_form> a.cc ...): into those that have a form of their own for the simulator and those
# that are the same in both, most of them, which are compiled once. A header must never make the difference (tidy sees to it).
function(conclave_split_sources two_forms one_form)
  set(two "")
  set(one "")
  foreach(source IN LISTS ARGN)
    file(STRINGS "${source}" marks REGEX "raft/base/(seeded_bug|probe)\\.h|CONCLAVE_SIMULATION" LIMIT_COUNT 1)
    if(marks)
      list(APPEND two ${source})
    else()
      list(APPEND one ${source})
    endif()
  endforeach()
  # A mark that comes or goes moves its source.
  list(TRANSFORM ARGN PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/" OUTPUT_VARIABLE paths)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${paths})
  set(${two_forms} ${two} PARENT_SCOPE)
  set(${one_form} ${one} PARENT_SCOPE)
endfunction()

# conclave_program(<name> SOURCES a_main.cc ... DEPS lib ...): an executable in bin. Its allocations are jemalloc's, but a
# sanitizer must see them itself.
function(conclave_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  if(NOT CONCLAVE_SANITIZE)
    target_link_libraries(${name} PRIVATE PkgConfig::jemalloc)
  endif()
  conclave_precompile(${name} KIND library DEPS ${ARG_DEPS})
endfunction()

# Most of what a source costs to compile is what it includes, and GoogleTest's templates, the same in every file of a target. So
# the files are compiled some at a time. The debug preset goes without: each must also compile by itself.
option(CONCLAVE_JOINED_SOURCES "Compile the sources of a target some at a time" ON)

function(conclave_join_sources target)
  if(CONCLAVE_JOINED_SOURCES)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
  endif()
endfunction()

# Builds every test that the sanitizer presets run.
add_custom_target(unit_tests)

# conclave_test(<name> SOURCES a_test.cc ... [APART b_test.cc ...] DEPS lib ... [LABELS unit] [ONE_THREAD]): one GoogleTest
# program, one ctest entry per test suite program. APART are sources whose names would meet those of the others. Label "unit" (the default) marks what the sanitizer presets run too; the thread sanitizer
# leaves out what has ONE_THREAD, for it would find nothing there.
function(conclave_test name)
  cmake_parse_arguments(ARG "ONE_THREAD" "TIMEOUT" "SOURCES;APART;DEPS;LABELS" ${ARGN})
  if(ARG_ONE_THREAD AND CONCLAVE_SANITIZE STREQUAL thread)
    return()
  endif()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(CONCLAVE_SANITIZE)  # at -O0, and up to fifteen times as slow; the limit is for what hangs
    math(EXPR ARG_TIMEOUT "5 * ${ARG_TIMEOUT}")
  endif()
  add_executable(${name} ${ARG_SOURCES} ${ARG_APART})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  target_compile_options(${name} PRIVATE ${CONCLAVE_TEST_OPTIONS})
  conclave_join_sources(${name})
  set_source_files_properties(${ARG_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  conclave_precompile(${name} KIND test DEPS ${ARG_DEPS})
  add_test(NAME ${name} COMMAND ${name})
  if("unit" IN_LIST ARG_LABELS)
    add_dependencies(unit_tests ${name})
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/cmake/tsan.supp")
endfunction()

# conclave_long_test(<name> PROGRAM test FILTER tests SCALE n): random tests of a program for n times as long (raft/base/test_scale.h), which
# is a million operations of each module or more. As released only: under a sanitizer the usual length must do.
function(conclave_long_test name)
  cmake_parse_arguments(ARG "" "PROGRAM;FILTER;SCALE" "" ${ARGN})
  if(CONCLAVE_SANITIZE)
    return()
  endif()
  add_test(NAME ${name} COMMAND ${ARG_PROGRAM} --gtest_filter=${ARG_FILTER} --gtest_brief=1)
  set_tests_properties(${name} PROPERTIES LABELS slow TIMEOUT 300 ENVIRONMENT "CONCLAVE_TEST_SCALE=${ARG_SCALE}")
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

# Precompiled headers. Most of what the compiler reads is the standard library, Abseil, Protobuf and GoogleTest, the same for
# every file; read once, a release build takes half the time. None of our own headers are in them, except for the messages
# generated from kvstore/proto, so a change of ours never rebuilds more than what includes it.
#
# A precompiled header hides a missing include, so the debug preset goes without. And
# GCC forgets with it what libstdc++ silences for its own code: should -Warray-bounds or -Wstringop-overflow blame char_traits.h
# for a `string + "literal"`, say it with append or fmt::format.

option(CONCLAVE_PRECOMPILED_HEADERS "Read the headers that nearly every file includes only once" ON)

# conclave_precompiled_header(<name> HEADERS <a> ... DEPS lib ... [OPTIONS -x ...]): one such header and nothing else. Who reuses
# it must be compiled with the same options, and with the same definitions for the libraries in it (-Winvalid-pch tells).
function(conclave_precompiled_header name)
  cmake_parse_arguments(ARG "" "" "HEADERS;DEPS;OPTIONS" ${ARGN})
  set(no_source "${PROJECT_BINARY_DIR}/precompiled/none.cc")
  if(NOT EXISTS "${no_source}")
    file(WRITE "${no_source}" "")
  endif()
  add_library(${name} OBJECT EXCLUDE_FROM_ALL "${no_source}")
  target_link_libraries(${name} PRIVATE absl::any_invocable absl::flat_hash_map absl::statusor fmt::fmt ${ARG_DEPS})
  target_compile_options(${name} PRIVATE ${ARG_OPTIONS})
  target_precompile_headers(${name} PRIVATE
    <algorithm> <array> <atomic> <charconv> <chrono> <cstddef> <cstdint> <deque> <functional> <limits> <map> <memory>
    <optional> <set> <string> <string_view> <utility> <variant> <vector>
    <absl/container/flat_hash_map.h> <absl/functional/any_invocable.h> <absl/status/status.h> <absl/status/statusor.h>
    <fmt/format.h> ${ARG_HEADERS})
endfunction()

# conclave_precompile(<target> KIND library|test DEPS lib ...): has the target use the precompiled header that fits.
function(conclave_precompile target)
  cmake_parse_arguments(ARG "" "KIND" "DEPS" ${ARGN})
  set_target_properties(${target} PROPERTIES CONCLAVE_PRECOMPILED_KIND ${ARG_KIND} CONCLAVE_DEPS "${ARG_DEPS}")
  set_property(GLOBAL APPEND PROPERTY CONCLAVE_PRECOMPILE ${target})
endfunction()

# Call it when all targets are known: only then is it known what links the messages, and so may have them precompiled.
function(conclave_reuse_precompiled_headers)
  if(NOT CONCLAVE_PRECOMPILED_HEADERS)
    return()
  endif()
  get_property(targets GLOBAL PROPERTY CONCLAVE_PRECOMPILE)
  foreach(target IN LISTS targets)
    get_target_property(kind ${target} CONCLAVE_PRECOMPILED_KIND)
    conclave_links_protos(${target} links_protos)
    if(links_protos)
      set(kind ${kind}_with_protos)
    endif()
    # All that the headers take from a target's definitions; not every target links fmt.
    target_compile_definitions(${target} PRIVATE $<TARGET_PROPERTY:fmt::fmt,INTERFACE_COMPILE_DEFINITIONS>)
    target_precompile_headers(${target} REUSE_FROM conclave_precompiled_${kind})
  endforeach()
endfunction()

# conclave_links_protos(<target> <variable>): whether conclave_protos is among what the target links, directly or not.
function(conclave_links_protos target variable)
  get_target_property(links ${target} CONCLAVE_LINKS_PROTOS)
  if(links STREQUAL links-NOTFOUND)
    set(links FALSE)
    get_target_property(deps ${target} CONCLAVE_DEPS)
    foreach(dep IN LISTS deps)
      if(dep STREQUAL conclave_protos)
        set(links TRUE)
      elseif(TARGET ${dep} AND NOT links)
        conclave_links_protos(${dep} links)
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES CONCLAVE_LINKS_PROTOS ${links})
  endif()
  set(${variable} ${links} PARENT_SCOPE)
endfunction()

if(CONCLAVE_PRECOMPILED_HEADERS)
  set(messages <kvstore/proto/rpc.pb.h>)
  set(test_headers <gmock/gmock.h> <gtest/gtest.h>)
  conclave_precompiled_header(conclave_precompiled_library)
  conclave_precompiled_header(conclave_precompiled_library_with_protos HEADERS ${messages} DEPS conclave_protos)
  conclave_precompiled_header(conclave_precompiled_test
    HEADERS ${test_headers} DEPS GTest::gmock OPTIONS ${CONCLAVE_TEST_OPTIONS})
  conclave_precompiled_header(conclave_precompiled_test_with_protos
    HEADERS ${test_headers} ${messages} DEPS GTest::gmock conclave_protos OPTIONS ${CONCLAVE_TEST_OPTIONS})
endif()

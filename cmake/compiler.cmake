# Language level, warnings, sanitizers and the compiler cache, for every target.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CONCLAVE_SANITIZE "" CACHE STRING "Sanitizers to build with, as in -fsanitize= (empty: none)")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

# Our own CHECK is on in every build; -DNDEBUG would only hide assertions of the libraries' headers.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -fno-omit-frame-pointer")
# Lines are all that a report of a sanitizer needs of the symbols, and cost half the time.
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")
# The sources of a test need not be fast, only what they test.
set(CONCLAVE_TEST_OPTIONS $<$<CONFIG:Release>:-O0>)

add_compile_options(-pthread -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror)
if(CONCLAVE_SANITIZE)
  add_compile_options(-fsanitize=${CONCLAVE_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${CONCLAVE_SANITIZE})
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths count from the checkout, so that checkouts and build folders beside each other share what they have compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER
    "${CMAKE_COMMAND}" -E env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros "${CCACHE_PROGRAM}")
endif()

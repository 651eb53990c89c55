# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
# What every target of the project is built with, the functions that make targets, and what is said of a part that is
# left out.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release or RelWithDebInfo" FORCE)
endif()

add_library(ddict_build_flags INTERFACE)
target_include_directories(ddict_build_flags INTERFACE ${PROJECT_SOURCE_DIR})
# Everything is position-independent, for the one shared library's sake, but nobody is to put a function of his own in
# the place of one of ours: without saying so, gcc would not inline any that is not declared inline. clang does so anyway.
target_compile_options(ddict_build_flags INTERFACE -fno-semantic-interposition)
if(DDICT_STRICT)
  set(names -Wshadow -Werror)
  if(DDICT_UNITY)  # sources that are compiled together see each other's names
    set(names -Werror $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
  target_compile_options(ddict_build_flags INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion ${names})
  # gcc 12 takes the inlined insides of std::string's operator+ and of vector's insert for copies that overlap or
  # overflow (https://gcc.gnu.org/bugzilla/show_bug.cgi?id=105651 and 107852).
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(ddict_build_flags INTERFACE -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow
      -Wno-stringop-overread)
  endif()
endif()
if(DDICT_SANITIZE)
  target_compile_options(ddict_build_flags INTERFACE
    -fsanitize=${DDICT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(ddict_build_flags INTERFACE -fsanitize=${DDICT_SANITIZE})
endif()

# ddict_unity(ddict_base ALONE a.cpp ...)
# With DDICT_UNITY, compiles the sources of a target sixteen at a time, which takes a third of the time: most of it goes
# into the headers that they share. All but those named after ALONE, which have names that others have too, each in an
# unnamed namespace: that is where a source belongs of which the compiler says "redefinition" here and not otherwise, or
# whose overloads those of another would take the place of.
# A build without it is what notices an include that is missing.
function(ddict_unity target)
  cmake_parse_arguments(ARG "" "" "ALONE" ${ARGN})
  if(DDICT_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
    set_source_files_properties(${ARG_ALONE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endif()
endfunction()

# ddict_library(base SOURCES a.cpp ... USES shm ucx LINKS Boost::... [ALONE a.cpp])
# One folder, one static library ddict_<name>. USES names other folders, LINKS what is not ours; ALONE as above.
function(ddict_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LINKS;ALONE" ${ARGN})
  add_library(ddict_${name} STATIC ${ARG_SOURCES})
  ddict_unity(ddict_${name} ALONE ${ARG_ALONE})
  list(TRANSFORM ARG_USES PREPEND ddict_)
  target_link_libraries(ddict_${name} PUBLIC ${ARG_USES} ${ARG_LINKS} $<BUILD_INTERFACE:ddict_build_flags>)
endfunction()

# ddict_program(ddict-manager SOURCES main.cpp USES manager LINKS ...)
function(ddict_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  list(TRANSFORM ARG_USES PREPEND ddict_)
  target_link_libraries(${name} PRIVATE ${ARG_USES} ${ARG_LINKS} ddict_build_flags)
endfunction()

# ddict_test(pool_test KIND unit SOURCES pool_test.cpp USES shm LINKS ... [TIMEOUT 60])
# A GoogleTest program that is one CTest test, on a host of its own (tests/own_host). KIND is its layer, its CTest label:
# tidy unit sim ucx pmix slurm process. All tests of a kind are built by the target tests_<kind>.
function(ddict_test name)
  cmake_parse_arguments(ARG "" "KIND;TIMEOUT" "SOURCES;USES;LINKS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  list(TRANSFORM ARG_USES PREPEND ddict_)
  target_link_libraries(${name} PRIVATE ${ARG_USES} ${ARG_LINKS} ddict_test_main ddict_build_flags)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  # What is tested are the libraries, which are built as ever: to optimize the tests too takes half the time of a build.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  if(NOT TARGET tests_${ARG_KIND})
    add_custom_target(tests_${ARG_KIND})
  endif()
  add_dependencies(tests_${ARG_KIND} ${name})
  add_test(NAME ${ARG_KIND}.${name} COMMAND ${name})
  set_tests_properties(${ARG_KIND}.${name} PROPERTIES LABELS ${ARG_KIND} TIMEOUT ${ARG_TIMEOUT})
endfunction()

# ddict_leave_out(PART OPTION NEEDS): says that a part is left out, since what it needs is not there; fails if its option
# is REQUIRED.
function(ddict_leave_out part option needs)
  if(${option} STREQUAL REQUIRED)
    message(FATAL_ERROR "The ${part} cannot be built. It needs ${needs}")
  endif()
  message(STATUS "${part}: left out. It needs ${needs}; -D${option}=OFF leaves it out silently")
endfunction()

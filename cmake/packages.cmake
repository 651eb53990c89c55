# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
# "cpack -G DEB" and "cpack -G RPM" in a build tree that is built. Include it last.
#
#   ddict                the programs, the library, manual pages, completion, documents
#   ddict-dev            what a program is compiled and linked with   (RPM: ddict-devel)
#   python3-ddict        the Python package
#   ddict-bench          the benchmark
#   ddict-slurm-plugin   srun --ddict, for the release of Slurm that it was compiled for
#
# A package is a group of the installation's components (cmake/install.cmake). Those of Debian lie in /usr, where the
# distribution looks for them; cmake/debian_layout.cmake has what the distribution wants otherwise than "cmake --install".

set(DDICT_PACKAGE_CONTACT "The ddict authors" CACHE STRING "Who maintains the packages that cpack makes: NAME <MAIL>")

set(CPACK_PACKAGE_NAME ddict)
set(CPACK_PACKAGE_VENDOR "The ddict authors")
set(CPACK_PACKAGE_CONTACT "${DDICT_PACKAGE_CONTACT}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "distributed in-memory dictionary for Slurm jobs")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_GENERATOR DEB)
set(CPACK_THREADS 0)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# dpkg-shlibdeps finds the library there, but no installed package that has it: DEPENDS below names our own.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/lib)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/debian_layout.cmake)

set(CPACK_RPM_COMPONENT_INSTALL ON)
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_LICENSE Apache-2.0)
# Folders that belong to the distribution's own packages.
set(lib /usr/${CMAKE_INSTALL_LIBDIR})
set(python ${lib}/python${Python_VERSION_MAJOR}.${Python_VERSION_MINOR})
set(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION
  ${lib}/cmake ${lib}/pkgconfig ${python} ${python}/site-packages /usr/share/man /usr/share/man/man1
  /usr/share/bash-completion /usr/share/bash-completion/completions /usr/share/zsh /usr/share/zsh/site-functions)

# ddict_package(GROUP DEB deb-name RPM rpm-name COMPONENTS ... ABOUT "..." [DEPENDS ...] SECTION ...)
# DEPENDS is Debian's, beyond the libraries that the programs say themselves.
function(ddict_package group)
  cmake_parse_arguments(ARG "" "DEB;RPM;ABOUT;DEPENDS;SECTION" "COMPONENTS" ${ARGN})
  string(TOUPPER ${group} upper)
  foreach(setting
      "DEBIAN_${upper}_PACKAGE_NAME=${ARG_DEB}"
      "DEBIAN_${upper}_PACKAGE_DEPENDS=${ARG_DEPENDS}"
      "DEBIAN_${upper}_PACKAGE_SECTION=${ARG_SECTION}"
      "DEBIAN_${upper}_DESCRIPTION=${ARG_ABOUT}"
      "RPM_${group}_PACKAGE_NAME=${ARG_RPM}"
      "RPM_${group}_PACKAGE_DESCRIPTION=${ARG_ABOUT}")
    string(REGEX MATCH "^([^=]*)=(.*)$" whole "${setting}")
    set(CPACK_${CMAKE_MATCH_1} "${CMAKE_MATCH_2}" PARENT_SCOPE)
  endforeach()
  set(components ${CPACK_COMPONENTS_ALL} ${ARG_COMPONENTS})
  set(CPACK_COMPONENTS_ALL ${components} PARENT_SCOPE)
  foreach(component IN LISTS ARG_COMPONENTS)
    string(TOUPPER ${component} upper)
    set(CPACK_COMPONENT_${upper}_GROUP ${group} PARENT_SCOPE)
  endforeach()
endfunction()

set(same_version "ddict (= ${PROJECT_VERSION})")
set(abi ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

ddict_package(runtime DEB ddict RPM ddict COMPONENTS programs documents SECTION net
  ABOUT "The programs, the library that other programs are linked with, manual pages and documents.")
# Packages of others, whose programs are linked with the library, depend on this interface of it, in this release or a later one.
set(CPACK_DEBIAN_RUNTIME_PACKAGE_PROVIDES "libddict${abi} (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SUGGESTS "slurm-client, libpmix-dev")
file(WRITE ${PROJECT_BINARY_DIR}/to-package/shlibs "libddict_client ${abi} libddict${abi} (>= ${PROJECT_VERSION})\n")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/to-package/shlibs)

ddict_package(dev DEB ddict-dev RPM ddict-devel COMPONENTS development SECTION libdevel
  ABOUT "What programs in C++ and C are compiled with: the headers, and files for CMake and pkg-config."
  DEPENDS "${same_version}")
set(CPACK_RPM_dev_PACKAGE_REQUIRES "ddict = ${PROJECT_VERSION}")

if(TARGET ddict_python)
  math(EXPR next_minor "${Python_VERSION_MINOR} + 1")
  ddict_package(python DEB python3-ddict RPM python3-ddict COMPONENTS python SECTION python
    ABOUT "The Python package."
    DEPENDS "${same_version}, python3 (>= 3.${Python_VERSION_MINOR}~), python3 (<< 3.${next_minor}), python3-numpy")
  set(CPACK_RPM_python_PACKAGE_REQUIRES "ddict = ${PROJECT_VERSION}, python3-numpy")
endif()

if(TARGET ddict-bench)
  ddict_package(bench DEB ddict-bench RPM ddict-bench COMPONENTS bench SECTION net
    ABOUT "The benchmark ddict-bench."
    DEPENDS "${same_version}")
  set(CPACK_RPM_bench_PACKAGE_REQUIRES "ddict = ${PROJECT_VERSION}")
endif()

if(TARGET ddict_slurm_plugin)
  ddict_package(slurm DEB ddict-slurm-plugin RPM ddict-slurm-plugin COMPONENTS slurm SECTION net
    ABOUT "The plugin for Slurm that has the option --ddict of srun and sbatch, for Slurm ${DDICT_SLURM_VERSION}."
    DEPENDS "${same_version}, slurm-wlm-basic-plugins (>= ${DDICT_SLURM_VERSION}), slurm-wlm-basic-plugins (<< ${DDICT_SLURM_VERSION_AFTER})")
  set(CPACK_RPM_slurm_PACKAGE_REQUIRES
    "ddict = ${PROJECT_VERSION}, slurm >= ${DDICT_SLURM_VERSION}, slurm < ${DDICT_SLURM_VERSION_AFTER}")
endif()

include(CPack)

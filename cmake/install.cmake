# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
# What "cmake --install" puts where. Include it after all targets exist.
#
#   bin/                    the programs
#   lib/libddict_client.so  with everything of ours linked into it
#   lib/libddict_ucx-*.so   what it loads to speak to other hosts, with UCX as its dependency
#   lib/ddict/spank_ddict.so
#                           the plugin for Slurm
#   include/ddict/          the public headers
#   lib/cmake/ddict/        find_package(ddict): targets ddict::client and, as the component "programs", ddict::ddict-launch,
#                           ddict::ddict and ddict::ddict-manager
#   lib/libddict_fortran.a, include/ddict/fortran/
#                           the Fortran module and its source: component "fortran", target ddict::fortran
#   lib/pkgconfig/ddict.pc, ddict-fortran.pc
#   share/doc/ddict/        README.md, LICENSE, docs/, examples/
#   share/man/, share/bash-completion/, share/zsh/
#                           manual pages of ddict, and its completion in shells
#   share/modulefiles/ddict/
#                           module files, for Lmod and for Environment Modules
#
# Components of the installation: "programs" is the first three without ddict-bench, "python" the Python package: a wheel has
# these alone (bindings/python/packaging). "development", "documents", "bench" and "slurm" are the rest, of which cmake/packages.cmake makes
# packages; and "modules", for prefixes that nothing looks into by itself.
#
# The installed tree may be moved: nothing in it holds the prefix. The build tree can be used as it stands, with
# ddict_ROOT or PKG_CONFIG_PATH set to it: it has files of its own for both, which know where the sources are.
include(CMakePackageConfigHelpers)

# ddict_install(LIBRARY ddict_client MODULE ddict_ucx_module PROGRAMS ddict-launch ...)
function(ddict_install)
  cmake_parse_arguments(ARG "" "LIBRARY;MODULE" "PROGRAMS" ${ARGN})

  # Programs find the library beside them, wherever the tree stands.
  file(RELATIVE_PATH from_bin_to_lib
    ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set_target_properties(${ARG_PROGRAMS} PROPERTIES INSTALL_RPATH "$ORIGIN/${from_bin_to_lib}")
  foreach(program IN LISTS ARG_PROGRAMS)
    if(program STREQUAL ddict-bench)
      install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT bench)
    else()
      install(TARGETS ${program} EXPORT ddict_programs
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT programs)
    endif()
  endforeach()

  # Before 1.0, a new minor version may break programs.
  set_target_properties(${ARG_LIBRARY} PROPERTIES
    EXPORT_NAME client
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  target_compile_features(${ARG_LIBRARY} PUBLIC cxx_std_20)
  install(TARGETS ${ARG_LIBRARY} EXPORT ddict
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT programs NAMELINK_COMPONENT development
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(TARGETS ${ARG_MODULE} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT programs)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ddict
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development FILES_MATCHING PATTERN "*.h")

  # What is installed is made apart: beside the files of the build tree it would be found there, and fail.
  set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/ddict)
  set(to_install ${PROJECT_BINARY_DIR}/to-install)
  install(EXPORT ddict FILE ddictTargets.cmake NAMESPACE ddict::
    DESTINATION ${package_folder} COMPONENT development)
  install(EXPORT ddict_programs FILE ddictProgramsTargets.cmake NAMESPACE ddict::
    DESTINATION ${package_folder} COMPONENT development)
  if(TARGET ddict_fortran)
    install(EXPORT ddict_fortran FILE ddictFortranTargets.cmake NAMESPACE ddict::
      DESTINATION ${package_folder} COMPONENT development)
  endif()
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/ddictConfig.cmake.in
    ${to_install}/ddictConfig.cmake INSTALL_DESTINATION ${package_folder})
  write_basic_package_version_file(${to_install}/ddictConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${to_install}/ddictConfig.cmake ${to_install}/ddictConfigVersion.cmake
    DESTINATION ${package_folder} COMPONENT development)

  file(RELATIVE_PATH from_pc_to_include
    ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_FULL_INCLUDEDIR})
  set(pc_libdir "\${pcfiledir}/..")
  set(pc_cflags "-I\${pcfiledir}/${from_pc_to_include}")
  configure_file(${PROJECT_SOURCE_DIR}/cmake/ddict.pc.in ${to_install}/ddict.pc @ONLY)
  install(FILES ${to_install}/ddict.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
  if(TARGET ddict_fortran)
    set(pc_modules "\${pcfiledir}/${from_pc_to_include}/ddict/fortran")
    configure_file(${PROJECT_SOURCE_DIR}/cmake/ddict-fortran.pc.in ${to_install}/ddict-fortran.pc @ONLY)
    install(FILES ${to_install}/ddict-fortran.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
  endif()

  if(ddict IN_LIST ARG_PROGRAMS AND NOT CMAKE_CROSSCOMPILING)
    install(DIRECTORY ${PROJECT_BINARY_DIR}/share/man/ DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT documents)
    install(DIRECTORY ${PROJECT_BINARY_DIR}/share/bash-completion ${PROJECT_BINARY_DIR}/share/zsh
      DESTINATION ${CMAKE_INSTALL_DATADIR} COMPONENT documents)
  endif()
  ddict_install_modules()
  ddict_describe_build_tree()
  ddict_install_documents()
endfunction()

# "module load ddict": a file in Lua for Lmod, one in Tcl for Environment Modules, which passes over that in Lua.
function(ddict_install_modules)
  set(folder ${CMAKE_INSTALL_DATADIR}/modulefiles/ddict)
  file(RELATIVE_PATH from_module_to_prefix ${CMAKE_INSTALL_FULL_DATADIR}/modulefiles/ddict ${CMAKE_INSTALL_PREFIX})
  file(RELATIVE_PATH from_prefix_to_bin ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_BINDIR})
  file(RELATIVE_PATH from_prefix_to_lib ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_LIBDIR})
  file(RELATIVE_PATH from_prefix_to_man ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_MANDIR})
  file(RELATIVE_PATH from_prefix_to_documents ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_DOCDIR})
  set(from_prefix_to_python
    ${from_prefix_to_lib}/python${Python_VERSION_MAJOR}.${Python_VERSION_MINOR}/site-packages)
  set(made ${PROJECT_BINARY_DIR}/to-install/modulefiles)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/module.lua.in ${made}/${PROJECT_VERSION}.lua @ONLY)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/module.tcl.in ${made}/${PROJECT_VERSION} @ONLY)
  install(FILES ${made}/${PROJECT_VERSION}.lua ${made}/${PROJECT_VERSION} DESTINATION ${folder} COMPONENT modules)
endfunction()

# find_package(ddict) and pkg-config in the build tree.
function(ddict_describe_build_tree)
  export(EXPORT ddict FILE ${PROJECT_BINARY_DIR}/ddictTargets.cmake NAMESPACE ddict::)
  export(EXPORT ddict_programs FILE ${PROJECT_BINARY_DIR}/ddictProgramsTargets.cmake NAMESPACE ddict::)
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/ddictConfig.cmake.in
    ${PROJECT_BINARY_DIR}/ddictConfig.cmake INSTALL_DESTINATION ${PROJECT_BINARY_DIR}
    INSTALL_PREFIX ${PROJECT_BINARY_DIR})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/ddictConfigVersion.cmake COMPATIBILITY SameMinorVersion)

  # Blanks in paths are escaped there.
  string(REPLACE " " "\\ " source "${PROJECT_SOURCE_DIR}")
  set(pc_libdir "\${pcfiledir}/lib")
  set(pc_cflags "-I${source}/include")
  configure_file(${PROJECT_SOURCE_DIR}/cmake/ddict.pc.in ${PROJECT_BINARY_DIR}/ddict.pc @ONLY)
  if(TARGET ddict_fortran)
    export(EXPORT ddict_fortran FILE ${PROJECT_BINARY_DIR}/ddictFortranTargets.cmake NAMESPACE ddict::)
    set(pc_modules "\${pcfiledir}/fortran")
    configure_file(${PROJECT_SOURCE_DIR}/cmake/ddict-fortran.pc.in ${PROJECT_BINARY_DIR}/ddict-fortran.pc @ONLY)
  endif()
endfunction()

# README.md, docs/ and examples/, as they stand to each other in the sources.
function(ddict_install_documents)
  file(RELATIVE_PATH from_docs_to_headers ${CMAKE_INSTALL_FULL_DOCDIR}/docs ${CMAKE_INSTALL_FULL_INCLUDEDIR})
  set(documents ${PROJECT_BINARY_DIR}/to-install/documents)
  install(CODE "
    set(SOURCES [==[${PROJECT_SOURCE_DIR}]==])
    set(DOCUMENTS [==[${documents}]==])
    set(FROM_DOCS_TO_HEADERS [==[${from_docs_to_headers}]==])
    include([==[${PROJECT_SOURCE_DIR}/cmake/install_documents.cmake]==])" COMPONENT documents)
  install(DIRECTORY ${documents}/ DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT documents)
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT documents)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT documents
    PATTERN CMakeLists.txt EXCLUDE)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/figures ${PROJECT_SOURCE_DIR}/docs/grafana
    DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs COMPONENT documents FILES_MATCHING PATTERN "*.svg" PATTERN "*.json")
endfunction()

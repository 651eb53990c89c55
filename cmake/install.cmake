# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
# What "cmake --install" puts where. Include it after all targets exist.
#
#   bin/                    the programs
#   lib/libddict_client.so  with everything of ours linked into it; UCX is its only foreign dependency of weight
#   include/ddict/          the public headers
#   lib/cmake/ddict/        find_package(ddict), target ddict::client
#   lib/pkgconfig/ddict.pc
#
# The installed tree may be moved: nothing in it holds the prefix.
include(CMakePackageConfigHelpers)

# ddict_install(LIBRARY ddict_client PROGRAMS ddict-launch ...)
function(ddict_install)
  cmake_parse_arguments(ARG "" "LIBRARY" "PROGRAMS" ${ARGN})

  # Programs find the library beside them, wherever the tree stands.
  file(RELATIVE_PATH from_bin_to_lib
    ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set_target_properties(${ARG_PROGRAMS} PROPERTIES INSTALL_RPATH "$ORIGIN/${from_bin_to_lib}")
  install(TARGETS ${ARG_PROGRAMS} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

  # Before 1.0, a new minor version may break programs.
  set_target_properties(${ARG_LIBRARY} PROPERTIES
    EXPORT_NAME client
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  target_compile_features(${ARG_LIBRARY} PUBLIC cxx_std_20)
  install(TARGETS ${ARG_LIBRARY} EXPORT ddict
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/core/include/ddict ${PROJECT_SOURCE_DIR}/libclient/include/ddict
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

  set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/ddict)
  install(EXPORT ddict FILE ddictTargets.cmake NAMESPACE ddict:: DESTINATION ${package_folder})
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/ddictConfig.cmake.in
    ${PROJECT_BINARY_DIR}/ddictConfig.cmake INSTALL_DESTINATION ${package_folder})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/ddictConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/ddictConfig.cmake ${PROJECT_BINARY_DIR}/ddictConfigVersion.cmake
    DESTINATION ${package_folder})

  file(RELATIVE_PATH from_pc_to_include
    ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_FULL_INCLUDEDIR})
  configure_file(${PROJECT_SOURCE_DIR}/cmake/ddict.pc.in ${PROJECT_BINARY_DIR}/ddict.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/ddict.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
endfunction()

# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
# Run by cpack for each kind of package, once all components are installed below CPACK_TEMPORARY_DIRECTORY, each package in
# a folder of its own. For Debian: the licence where every package has it, manual pages compressed, and where
# Debian's own shells and interpreter look: the completion of zsh and Python's package.
if(NOT CPACK_GENERATOR STREQUAL DEB)
  return()
endif()
find_program(GZIP gzip REQUIRED)
file(GLOB packages ${CPACK_TEMPORARY_DIRECTORY}/*)
foreach(folder IN LISTS packages)
  get_filename_component(group ${folder} NAME)
  string(TOUPPER ${group} group)
  set(package ${CPACK_DEBIAN_${group}_PACKAGE_NAME})
  if(NOT package)
    message(FATAL_ERROR "${folder} is of no package that cmake/packages.cmake names")
  endif()
  configure_file(${CMAKE_CURRENT_LIST_DIR}/debian_copyright ${folder}/usr/share/doc/${package}/copyright COPYONLY)

  file(GLOB pages ${folder}/usr/share/man/*/*.[1-9])
  if(pages)
    execute_process(COMMAND ${GZIP} -9n ${pages} COMMAND_ERROR_IS_FATAL ANY)
  endif()

  if(EXISTS ${folder}/usr/share/zsh/site-functions)
    file(RENAME ${folder}/usr/share/zsh/site-functions ${folder}/usr/share/zsh/vendor-completions)
  endif()

  file(GLOB python ${folder}/usr/lib/python3.*/site-packages ${folder}/usr/lib/*/python3.*/site-packages)
  if(python)
    file(MAKE_DIRECTORY ${folder}/usr/lib/python3)
    file(RENAME ${python} ${folder}/usr/lib/python3/dist-packages)
    get_filename_component(version ${python} DIRECTORY)
    file(REMOVE_RECURSE ${version})
  endif()
endforeach()

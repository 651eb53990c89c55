# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
# The Fortran module, where there is a compiler; otherwise a word that it is left out.
include(CheckLanguage)
if(DDICT_SANITIZE)
  message(STATUS "Fortran module: left out of a build with sanitizers")
  return()
endif()
check_language(Fortran)
if(NOT CMAKE_Fortran_COMPILER)
  ddict_leave_out("Fortran module" DDICT_FORTRAN "a compiler for Fortran 2018 (Debian: gfortran)")
  return()
endif()
enable_language(Fortran)
add_subdirectory(bindings/fortran)

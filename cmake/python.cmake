# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
# The Python package, where the interpreter named and pybind11 have what it takes; otherwise a word that it is left out.
# The interpreter is named, not searched: the first in PATH may be one that sees none of the system's packages.
set(DDICT_PYTHON_EXECUTABLE /usr/bin/python3 CACHE FILEPATH "The interpreter that the Python package is built for")
set(Python_EXECUTABLE ${DDICT_PYTHON_EXECUTABLE})
find_package(Python 3.9 QUIET COMPONENTS Interpreter Development.Module)
find_package(pybind11 2.10 QUIET CONFIG)
if(DDICT_SANITIZE)
  message(STATUS "Python package: left out, its interpreter is built without sanitizers")
elseif(Python_Development.Module_FOUND AND pybind11_FOUND)
  message(STATUS "Python package: for ${Python_EXECUTABLE} ${Python_VERSION}")
  add_subdirectory(bindings/python)
else()
  ddict_leave_out("Python package" DDICT_PYTHON
    "the headers of ${DDICT_PYTHON_EXECUTABLE} and pybind11 2.10 (Debian: python3-dev, pybind11-dev)")
endif()

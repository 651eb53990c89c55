# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
# Writes FILE, the C++ that tells the commit of SOURCE, or "unknown" where there is no git or no repository.
set(commit "")
find_program(git git)
if(git)
  execute_process(COMMAND ${git} -C ${SOURCE} describe --always --dirty --abbrev=12 --match=v*
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(commit STREQUAL "")
  set(commit unknown)
endif()
set(text "#include \"bench/report.h\"
std::string_view ddict::bench::commit() { return \"${commit}\"; }
")
set(old "")
if(EXISTS ${FILE})
  file(READ ${FILE} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${FILE} "${text}")
endif()

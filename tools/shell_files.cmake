# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
# usage: cmake -DDDICT=PROGRAM -DTO=DIRECTORY -P shell_files.cmake
# The manual pages of ddict and the completion of shells, as the program itself has them.
function(printed_by_ddict variable)
  execute_process(COMMAND ${DDICT} ${ARGN} OUTPUT_VARIABLE output RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "'ddict ${ARGN}' ended with status ${status}")
  endif()
  set(${variable} "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${TO})
printed_by_ddict(page --man)
file(WRITE ${TO}/man/man1/ddict.1 "${page}")
printed_by_ddict(commands complete --)
string(REGEX REPLACE "\t[^\n]*\n" ";" commands "${commands}")
string(REGEX REPLACE ";+$" "" commands "${commands}")
list(REMOVE_ITEM commands help)
foreach(command IN LISTS commands)
  printed_by_ddict(page ${command} --man)
  file(WRITE ${TO}/man/man1/ddict-${command}.1 "${page}")
endforeach()
printed_by_ddict(script completion bash)
file(WRITE ${TO}/bash-completion/completions/ddict "${script}")
printed_by_ddict(script completion zsh)
file(WRITE ${TO}/zsh/site-functions/_ddict "${script}")

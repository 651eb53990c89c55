# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
# Run by "cmake --install", with SOURCES (of ddict), DOCUMENTS (where to make them) and FROM_DOCS_TO_HEADERS set. The
# documents stand to each other as in the sources, so that their links hold. Those to public headers lead to the installed
# ones; of those to other files of the sources the words stay.
file(GLOB pages RELATIVE "${SOURCES}"
  "${SOURCES}/README.md" "${SOURCES}/CONTRIBUTING.md" "${SOURCES}/docs/*.md" "${SOURCES}/docs/decisions/*.md")
file(REMOVE_RECURSE "${DOCUMENTS}")
foreach(page IN LISTS pages)
  file(READ "${SOURCES}/${page}" text)
  string(REGEX REPLACE "\\]\\(\\.\\./include/(ddict/[^)]*)\\)" "](${FROM_DOCS_TO_HEADERS}/\\1)" text "${text}")
  string(REGEX REPLACE "\\[([^]]*)\\]\\(\\.\\./(base|os|wire|cluster|rpc|store|libclient|tests|launcher|manager|ucx|shm|slurm|pmix|tools|bench)/[^)]*\\)"
    "\\1" text "${text}")
  file(WRITE "${DOCUMENTS}/${page}" "${text}")
endforeach()

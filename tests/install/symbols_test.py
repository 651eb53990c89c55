# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""usage: symbols_test.py LIBRARY VERSION FOLDER [--record]

Programs that are linked with the library go on running with later ones of the same SONAME. So what that of FOLDER's list,
libddict_client-MAJOR.MINOR.symbols, has exported must still be there: nothing is taken away, or gets other parameters, before
the minor version is the next one. --record writes the list, when there is a new minor version, and again at every
release, which then holds the later ones to what that release has added.
"""

import pathlib
import re
import subprocess
import sys

# Templates and inline functions that a compiler has left in the library: programs have their own.
OF_COMPILER = "W"
HEADER = """# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
# What libddict_client.so.{} exports, by tests/install/symbols_test.py --record.
"""


def exported(library):
    lines = subprocess.run(["nm", "--dynamic", "--defined-only", "--format=posix", library],
                           check=True, capture_output=True, text=True).stdout.splitlines()
    return {line.split()[0] for line in lines if line.split()[1] != OF_COMPILER}


def soname(library):
    text = subprocess.run(["readelf", "--dynamic", library], check=True, capture_output=True, text=True).stdout
    found = re.search(r"soname: \[(.*)\]", text)
    return found and found[1]


def in_words(symbols):
    names = subprocess.run(["c++filt"], check=True, capture_output=True, text=True, input="\n".join(sorted(symbols))).stdout
    return "\n".join("    " + name for name in names.splitlines())


def main(library, version, folder, *options):
    interface = ".".join(version.split(".")[:2])
    wanted = f"libddict_client.so.{interface}"
    if (found := soname(library)) != wanted:
        sys.exit(f"{library} of version {version} has the SONAME {found}, not {wanted}")
    now = exported(library)
    path = pathlib.Path(folder) / f"libddict_client-{interface}.symbols"
    if options == ("--record",):
        path.write_text(HEADER.format(interface) + "".join(f"{symbol}\n" for symbol in sorted(now)))
        return
    if not path.exists():
        sys.exit(f"there is no {path}: a new minor version begins a list of its own, by --record")
    before = {line for line in path.read_text().splitlines() if not line.startswith("#")}
    if gone := before - now:
        sys.exit(f"programs linked with {wanted} need what is no longer exported:\n{in_words(gone)}\n"
                 f"Bring it back; or, where that cannot be, the next minor version is due (project() in CMakeLists.txt).")
    print(f"{len(before)} symbols of {wanted} are all there, and {len(now - before)} newer ones")


if __name__ == "__main__":
    main(*sys.argv[1:])

# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""A recipe for Spack; docs/packages.md says how it is used."""

import os

from spack.package import *


class Ddict(CMakePackage):
    """A distributed in-memory dictionary for Slurm jobs: programs in C++, C, Python and Fortran, on all nodes of a job, put
    and get pairs in the memory of its nodes."""

    license("Apache-2.0")

    # There is no archive to download: one of the sources, by "git archive", lies where spack is called.
    manual_download = True
    url = f"file://{os.getcwd()}/ddict-0.1.0.tar.gz"
    version("0.1.0")

    variant("python", default=True, description="The Python package")
    variant("fortran", default=False, description="The Fortran module")
    variant("bench", default=False, description="The benchmark ddict-bench, beside Redis where that is there")
    variant("slurm", default=False, description="The plugin for Slurm: srun --ddict")

    generator("ninja")
    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("fortran", type="build", when="+fortran")
    depends_on("cmake@3.25:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("ucx@1.13:")
    depends_on("pmix@4.2:")
    depends_on("boost@1.74: +program_options")
    depends_on("nlohmann-json@3.11:")
    depends_on("xxhash@0.8:")
    depends_on("ncurses@6:")
    depends_on("libedit")
    depends_on("zstd")
    depends_on("hwloc@2.1:")
    depends_on("slurm", when="+slurm")
    extends("python@3.9:", when="+python")
    depends_on("py-pybind11@2.10:", type="build", when="+python")
    depends_on("py-numpy", type=("build", "run"), when="+python")

    conflicts("%gcc@:11", msg="C++20: gcc 12 or later")

    def cmake_args(self):
        def required(variant):
            return "REQUIRED" if self.spec.satisfies(f"+{variant}") else "OFF"

        args = [
            self.define("DDICT_BUILD_TESTS", False),
            self.define("DDICT_BUILD_EXAMPLES", False),
            self.define_from_variant("DDICT_BUILD_BENCH", "bench"),
            self.define("DDICT_PYTHON", required("python")),
            self.define("DDICT_FORTRAN", required("fortran")),
            self.define("DDICT_SLURM_PLUGIN", required("slurm")),
        ]
        if self.spec.satisfies("+python"):
            args.append(self.define("DDICT_PYTHON_EXECUTABLE", self.spec["python"].command.path))
        return args

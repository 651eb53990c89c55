# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Reads what fortran_languages has written, and writes for it to read."""

import ddict
import numpy as np

d = ddict.attach()
assert d["fortran text"] == "Dragon, with a blank "
assert (d["fortran int32"], d["fortran int64"], d["fortran real32"], d["fortran real64"]) == (-7, 2**40, 1.5, -0.1)
assert np.array_equal(d["fortran int32 1"], [10, 20, 30, 40]) and d["fortran int32 1"].dtype == np.int32
for key, element, shape in (("int64 2", np.int64, (3, 2)), ("real32 2", np.float32, (3, 2)), ("real64 3", np.float64, (4, 3, 2))):
    found = d["fortran " + key]
    assert found.dtype == element and found.shape == shape, (key, found.dtype, found.shape)
    for index in np.ndindex(shape):
        i, j, *k = (n + 1 for n in reversed(index))  # a(i, j) is a[j-1, i-1]
        assert found[index] == (100 * i + 10 * j + k[0] if k else 10 * i + j), (key, index)
assert (d["fortran complex64"], d["fortran bool"]) == (1.5 - 2j, True)
assert np.array_equal(d["fortran complex128 2"], [[i + 1j * j for i in (1, 2)] for j in (1, 2, 3)])
assert d["fortran bool 1"].dtype == bool and d["fortran bool 1"].tolist() == [True, False, True]
seven = d["fortran int32 7"]
assert seven.shape == (4, 1, 2, 1, 3, 1, 2) and np.array_equal(seven.ravel(), range(1, 49))
assert (d[17], d[18], d[2.5]) == (1, 2, 3)

d["python text"] = "Dragon"
d["python integer"] = 12
d["python real"] = 0.25
d["python vector"] = [1, 2, 3]
j, i = np.indices((3, 2)) + 1
d["python field"] = (10.0 * i + j)
k, j, i = np.indices((4, 3, 2)) + 1
d["python cube"] = 100.0 * i + 10.0 * j + k
d["python complex"] = 0.5 + 2j
d["python waves"] = np.array([[i + 1j * j for i in (1, 2)] for j in (1, 2, 3)], "c8")
d["python flag"] = True
d["python flags"] = np.array([True, False, True])
d["python five"] = np.arange(120).reshape(1, 2, 3, 4, 5)
d["python key"] = 1
d[20] = 2

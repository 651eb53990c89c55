#!/usr/bin/env python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""How a dictionary behaves when Slurm signals or ends its job, and when its own step is broken. Used like jobs_test.py."""

import check_broken_steps
import check_requeue
import check_saving
import jobs_test

jobs_test.main([*check_saving.GROUPS, *check_requeue.GROUPS, *check_broken_steps.GROUPS])

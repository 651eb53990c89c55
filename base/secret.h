// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What everyone who is attached to a dictionary knows, and nobody else.
#pragma once

#include "base/siphash.h"

namespace ddict {

using Secret = SipHash::Key;
using Proof = SipHash::Tag;

}  // namespace ddict

// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Does not compile, and the compiler says what to do about it.
#include <ddict/dictionary.h>

struct Particle {
    std::string name;
};

void store(const ddict::Dictionary& dict, const Particle& particle) {
#ifdef PUT
    dict.put("particle", particle);
#else
    static_cast<void>(dict.get<Particle>(particle.name));
#endif
}

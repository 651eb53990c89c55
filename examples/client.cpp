// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// An ordinary client, which only attaches. Under `ddict-launch -- srun ./client put Hello Dragon 1` it finds
// the dictionary in its environment.
//
//   client put KEY VALUE CLIENT_ID
//   client get KEY CLIENT_ID
#include <ddict/dictionary.h>

#include <iostream>
#include <string>

int main(int argc, char** argv) {
    const std::string command = argc > 1 ? argv[1] : "";
    try {
        if (command == "put" && argc == 5) {
            auto dict = ddict::Dictionary::attach();
            std::cout << "Storing key:" << argv[2] << " and value:" << argv[3]
                      << " from client id:" << argv[4] << " into the dictionary\n";
            dict.put(argv[2], argv[3]);
            return 0;
        }
        if (command == "get" && argc == 4) {
            auto dict = ddict::Dictionary::attach();
            std::cout << "Retrieving value:" << dict.get(argv[2]) << " for key:" << argv[2]
                      << " for client id:" << argv[3] << " from the dictionary\n";
            return 0;
        }
    } catch (const ddict::Exception& error) {
        std::cerr << "client: " << error.what() << '\n';
        return 1;
    }
    std::cerr << "usage: client put KEY VALUE CLIENT_ID | client get KEY CLIENT_ID\n";
    return 2;
}

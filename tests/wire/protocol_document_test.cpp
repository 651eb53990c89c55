// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The example bytes of docs/protocol.md, read out of the document and decoded.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>
#include <string_view>

#include "base/secret.h"
#include "tests/values/document_examples.h"
#include "wire/items.h"
#include "wire/messages.h"

namespace ddict::wire {
namespace {

template <class Header>
Header header_of(Bytes message) {
    Header header;
    EXPECT_GE(message.size(), sizeof header);
    if (message.size() >= sizeof header) std::memcpy(&header, message.data(), sizeof header);
    EXPECT_EQ(header.version, protocol_version);
    return header;
}

constexpr std::uint64_t session = 0x0000abcd00000000;

class ProtocolDocument : public testing::Test {
  protected:
    Bytes example(const std::string& name) {
        const auto found = examples_.find(name);
        EXPECT_NE(found, examples_.end()) << name;
        return found == examples_.end() ? Bytes() : Bytes(found->second);
    }
    std::map<std::string, std::vector<std::byte>> examples_ = examples_of(DDICT_PROTOCOL_DOCUMENT);
};

TEST_F(ProtocolDocument, HasTheExamples) {
    EXPECT_EQ(examples_.size(), 21u);
}

TEST_F(ProtocolDocument, Hello) {
    const Bytes message = example("hello request");
    const auto header = header_of<RequestHeader>(message);
    EXPECT_EQ(header.verb, Verb::hello);
    EXPECT_EQ(header.session, 0u);
    EXPECT_EQ(header.request, (std::uint64_t{1} << 63) + 1);
    const Bytes value = message.subspan(sizeof header);
    EXPECT_EQ(header.value_bytes, value.size());
    wire::Hello hello;
    ASSERT_TRUE(unpack(value, hello));
    EXPECT_EQ(hello.dictionary_id, 0xfeedfacecafebeefu);
    Secret secret;
    for (std::size_t i = 0; i < secret.size(); ++i)
        secret[i] = static_cast<std::byte>(i);
    EXPECT_EQ(hello.proof, wire::proof_of(secret, header, hello));
    EXPECT_EQ(hello.ucx_version, 1u << 16 | 13);
    EXPECT_EQ(hello.process.host_key, 5u);
    EXPECT_EQ(hello.process.pid, 42);
    EXPECT_EQ(hello.process.start_time, 9u);
    EXPECT_EQ(text_of(hello.address), "address!");
    std::vector<std::byte> again;
    pack(hello, again);
    EXPECT_TRUE(std::equal(again.begin(), again.end(), value.begin(), value.end()));

    const auto reply = header_of<ReplyHeader>(example("hello reply"));
    EXPECT_EQ(reply.verb_and_reply_bit, static_cast<int>(Verb::hello) | reply_bit);
    EXPECT_EQ(reply.request, header.request);
    EXPECT_EQ(reply.argument, session);
    EXPECT_EQ(example("hello reply").size(), sizeof reply);
}

TEST_F(ProtocolDocument, PutAndGet) {
    const Bytes put = example("put request");
    const auto header = header_of<RequestHeader>(put);
    EXPECT_EQ(header.verb, Verb::put);
    EXPECT_EQ(header.session, session);
    EXPECT_EQ(header.value_type, 1);
    EXPECT_EQ(put.size(), sizeof header + header.key_bytes + header.value_bytes);
    EXPECT_EQ(header.key_type, type_text);
    EXPECT_EQ(header.flags, 0);
    EXPECT_EQ(text_of(put.subspan(sizeof header, header.key_bytes)), "Hello");
    EXPECT_EQ(text_of(put.subspan(sizeof header + header.key_bytes)), "Dragon");
    const auto put_reply = header_of<ReplyHeader>(example("put reply"));
    EXPECT_EQ(put_reply.verb_and_reply_bit, static_cast<int>(Verb::put) | reply_bit);
    EXPECT_EQ(put_reply.status, 0);
    EXPECT_EQ(put_reply.request, header.request);
    EXPECT_EQ(header.request, 2048u);

    const Bytes get = example("get request");
    const auto get_header = header_of<RequestHeader>(get);
    EXPECT_EQ(get_header.verb, Verb::get);
    EXPECT_EQ(get_header.session, session);
    EXPECT_EQ(text_of(get.subspan(sizeof get_header)), "Hello");
    const Bytes reply = example("get reply");
    const auto get_reply = header_of<ReplyHeader>(reply);
    EXPECT_EQ(get_reply.verb_and_reply_bit, static_cast<int>(Verb::get) | reply_bit);
    EXPECT_EQ(get_reply.request, get_header.request);
    EXPECT_EQ(get_reply.value_type, 1);
    EXPECT_EQ(get_reply.value_bytes, 6u);
    EXPECT_EQ(text_of(reply.subspan(sizeof get_reply)), "Dragon");
}

TEST_F(ProtocolDocument, Contains) {
    const Bytes request = example("contains request");
    const auto header = header_of<RequestHeader>(request);
    EXPECT_EQ(header.verb, Verb::contains);
    EXPECT_EQ(header.session, session);
    EXPECT_EQ(header.key_type, type_text);
    EXPECT_EQ(text_of(request.subspan(sizeof header)), "Hello");
    const Bytes reply = example("contains reply");
    const auto reply_header = header_of<ReplyHeader>(reply);
    EXPECT_EQ(reply_header.verb_and_reply_bit, static_cast<int>(Verb::contains) | reply_bit);
    EXPECT_EQ(reply_header.request, header.request);
    EXPECT_EQ(reply_header.value_type, type_text);
    EXPECT_EQ(reply_header.argument, 1u);
    EXPECT_EQ(reply_header.argument2, 6u);
    EXPECT_EQ(reply.size(), sizeof reply_header);
}

TEST_F(ProtocolDocument, PlacedPut) {
    const Bytes put = example("placed put request");
    const auto header = header_of<RequestHeader>(put);
    EXPECT_EQ(header.verb, Verb::put);
    EXPECT_EQ(header.placed_by, PlacedBy::number);
    EXPECT_EQ(header.key_type, 0x0113);
    EXPECT_EQ(header.key_bytes, 8);
    Unpacker in(put.subspan(sizeof header));
    EXPECT_EQ(in.take<std::uint64_t>(), 5u);
    EXPECT_EQ(in.take<std::int64_t>(), 42);
    EXPECT_EQ(text_of(in.rest()), "x");
    EXPECT_EQ(header.value_bytes, 1u);
}

TEST_F(ProtocolDocument, LargePut) {
    const Bytes put = example("large put request");
    const auto header = header_of<RequestHeader>(put);
    EXPECT_EQ(header.verb, Verb::put);
    EXPECT_EQ(header.value_bytes, 8200u);
    EXPECT_GT(header.value_bytes, limits::inline_value_bytes_max);
    EXPECT_EQ(put.size(), sizeof header + header.key_bytes) << "the value is a payload";
    const auto reply = header_of<ReplyHeader>(example("large put reply"));
    EXPECT_EQ(static_cast<Errc>(reply.status), Errc::no_space);
    EXPECT_EQ(reply.request, header.request);
    EXPECT_EQ(reply.argument, header.key_bytes + header.value_bytes);
    EXPECT_EQ(reply.argument2, 128u);
}

TEST_F(ProtocolDocument, BatchPut) {
    const Bytes put = example("batch put request");
    const auto header = header_of<RequestHeader>(put);
    EXPECT_EQ(header.verb, Verb::batch_put);
    EXPECT_EQ(header.argument, 2u);
    EXPECT_EQ(put.size(), sizeof header + header.value_bytes);
    ItemReader items(put.subspan(sizeof header));
    PackedPair pair;
    ASSERT_TRUE(items.pair(pair));
    EXPECT_EQ(pair.key, KeyBytes(bytes_of("a")));
    EXPECT_EQ(text_of(pair.value), "x");
    EXPECT_EQ(pair.value_type, 1);
    ASSERT_TRUE(items.pair(pair));
    EXPECT_EQ(pair.key, KeyBytes(bytes_of("bc")));
    ASSERT_EQ(pair.value.size(), 2u);
    EXPECT_EQ(pair.value[1], std::byte{0xff});
    EXPECT_EQ(pair.value_type, 0);
    EXPECT_TRUE(items.at_end());

    const Bytes reply = example("batch put reply");
    const auto reply_header = header_of<ReplyHeader>(reply);
    EXPECT_EQ(reply_header.verb_and_reply_bit, static_cast<int>(Verb::batch_put) | reply_bit);
    EXPECT_EQ(reply_header.request, header.request);
    EXPECT_EQ(reply.size(), sizeof reply_header + reply_header.value_bytes);
    ItemReader statuses(reply.subspan(sizeof reply_header));
    std::uint16_t first = 1;
    std::uint16_t second = 0;
    ASSERT_TRUE(statuses.status(first) && statuses.status(second) && statuses.at_end());
    EXPECT_EQ(first, 0);
    EXPECT_EQ(static_cast<Errc>(second), Errc::no_space);
}

TEST_F(ProtocolDocument, FetchAdd) {
    const Bytes add = example("fetch add request");
    const auto header = header_of<RequestHeader>(add);
    EXPECT_EQ(header.verb, Verb::fetch_add);
    EXPECT_EQ(header.value_type, 0x0113);
    EXPECT_EQ(static_cast<std::int64_t>(header.argument), -2);
    EXPECT_EQ(add.size(), sizeof header + header.key_bytes + header.value_bytes);
    EXPECT_EQ(text_of(add.subspan(sizeof header, header.key_bytes)), "n");
    EXPECT_EQ(Unpacker(add.subspan(sizeof header + header.key_bytes)).take<std::int64_t>(), 10);
    const auto reply = header_of<ReplyHeader>(example("fetch add reply"));
    EXPECT_EQ(reply.verb_and_reply_bit, static_cast<int>(Verb::fetch_add) | reply_bit);
    EXPECT_EQ(reply.request, header.request);
    EXPECT_EQ(reply.argument, 7u);
}

TEST_F(ProtocolDocument, CompareAndSwap) {
    const Bytes swap = example("compare and swap request");
    const auto header = header_of<RequestHeader>(swap);
    EXPECT_EQ(header.verb, Verb::compare_and_swap);
    EXPECT_EQ(swap.size(), sizeof header + header.key_bytes + header.value_bytes);
    const Bytes operands = swap.subspan(sizeof header + header.key_bytes);
    EXPECT_EQ(text_of(operands.first(header.argument)), "Dragon");
    EXPECT_EQ(text_of(operands.subspan(header.argument)), "Fly");
    const auto reply = header_of<ReplyHeader>(example("compare and swap reply"));
    EXPECT_EQ(reply.verb_and_reply_bit, static_cast<int>(Verb::compare_and_swap) | reply_bit);
    EXPECT_EQ(reply.request, header.request);
    EXPECT_EQ(reply.argument, 0u);
}

TEST_F(ProtocolDocument, ErasePrefix) {
    const Bytes erase = example("erase prefix request");
    const auto header = header_of<RequestHeader>(erase);
    EXPECT_EQ(header.verb, Verb::erase_prefix);
    EXPECT_EQ(header.session, session);
    EXPECT_EQ(header.key_type, type_text);
    EXPECT_EQ(header.argument, 0u);
    EXPECT_EQ(erase.size(), sizeof header + header.key_bytes);
    EXPECT_EQ(text_of(erase.subspan(sizeof header)), "He");
    const Bytes reply = example("erase prefix reply");
    const auto reply_header = header_of<ReplyHeader>(reply);
    EXPECT_EQ(reply_header.verb_and_reply_bit, static_cast<int>(Verb::erase_prefix) | reply_bit);
    EXPECT_EQ(reply_header.request, header.request);
    EXPECT_EQ(reply_header.argument, 0u);
    EXPECT_EQ(reply_header.argument2, 2u);
    EXPECT_EQ(reply.size(), sizeof reply_header);
}

TEST_F(ProtocolDocument, CancelWait) {
    const Bytes cancel = example("cancel wait request");
    const auto header = header_of<RequestHeader>(cancel);
    EXPECT_EQ(header.verb, Verb::cancel_wait);
    EXPECT_EQ(header.session, session);
    EXPECT_EQ(header.key_type, 0);
    EXPECT_EQ(header.argument, 11264u);
    EXPECT_EQ(cancel.size(), sizeof header);
    const Bytes reply = example("cancel wait reply");
    const auto reply_header = header_of<ReplyHeader>(reply);
    EXPECT_EQ(reply_header.verb_and_reply_bit, static_cast<int>(Verb::cancel_wait) | reply_bit);
    EXPECT_EQ(reply_header.request, header.request);
    EXPECT_EQ(reply_header.argument, 1u);
    EXPECT_EQ(reply.size(), sizeof reply_header);
}

/// The tables of the document, against the code.
TEST_F(ProtocolDocument, NumbersOfVerbsAndLimits) {
    std::ifstream document(DDICT_PROTOCOL_DOCUMENT);
    const std::string text((std::istreambuf_iterator<char>(document)), std::istreambuf_iterator<char>());
    for (const VerbRule& rule : std::span(verb_rules).subspan(1)) {
        const std::string row =
            "\n| " + std::string(rule.name) + " | " + std::to_string(static_cast<int>(rule.verb)) + " |";
        EXPECT_NE(text.find(row), std::string::npos) << row;
    }
    EXPECT_NE(text.find("at most " + std::to_string(limits::inline_value_bytes_max) + " bytes"),
              std::string::npos);
    for (const std::uint64_t limit : {limits::operand_bytes_max, std::uint64_t{limits::batch_bytes_max},
                                      std::uint64_t{limits::batch_items_max}}) {
        EXPECT_NE(text.find(std::to_string(limit)), std::string::npos) << limit;
    }
    EXPECT_NE(text.find("# The protocol, version " + std::to_string(protocol_version)), std::string::npos);
}

}  // namespace
}  // namespace ddict::wire

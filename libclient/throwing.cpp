// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The forms that throw of the calls that are no templates. They are here, and not in the headers, so that a
// program does not compile what all of them return.
#include <ddict/checkpoint_store.h>
#include <ddict/dictionary.h>

namespace ddict {

View View::manager(std::uint32_t id) const {
    return try_manager(id).value();
}

View View::at(std::uint32_t checkpoint) const {
    return try_at(checkpoint).value();
}

std::uint32_t View::newest_checkpoint_id() const {
    return try_newest_checkpoint_id().value();
}

void Dictionary::set_checkpoint_id(std::uint32_t checkpoint) {
    try_set_checkpoint_id(checkpoint).value();
}

std::uint32_t Dictionary::sync_to_newest_checkpoint() {
    return try_sync_to_newest_checkpoint().value();
}

Batch View::batch() const {
    return try_batch().value();
}

void View::start_batch_put() {
    try_start_batch_put().value();
}

std::uint64_t View::size() const {
    return try_size().value();
}

void View::clear() const {
    try_clear().value();
}

std::uint64_t View::count_prefix(std::string_view prefix) const {
    return try_count_prefix(prefix).value();
}

std::uint64_t View::erase_prefix(std::string_view prefix) const {
    return try_erase_prefix(prefix).value();
}

std::uint64_t View::local_size() const {
    return try_local_size().value();
}

Partial<std::uint64_t> View::partial_size() const {
    return try_partial_size().value();
}

std::string View::manager_node(std::uint32_t manager) const {
    return try_manager_node(manager).value();
}

std::vector<std::string> View::manager_nodes() const {
    return try_manager_nodes().value();
}

void View::freeze() const {
    try_freeze().value();
}

void View::unfreeze() const {
    try_unfreeze().value();
}

bool View::is_frozen() const {
    return try_is_frozen().value();
}

std::vector<ManagerStats> View::stats() const {
    return try_stats().value();
}

Partial<std::vector<ManagerStats>> View::partial_stats() const {
    return try_partial_stats().value();
}

ManagerStats View::stats(std::uint32_t manager) const {
    return try_stats(manager).value();
}

std::vector<ManagerHealth> View::health() const {
    return try_health().value();
}

std::span<const std::byte> FrozenValue::bytes() const {
    return try_bytes().value();
}

std::string_view FrozenValue::text() const {
    return try_text().value();
}

Dictionary Dictionary::attach(const AttachOptions& options) {
    return try_attach(options).value();
}

Dictionary Dictionary::create(const CreateOptions& options) {
    return try_create(options).value();
}

void Dictionary::restart(std::uint32_t manager) {
    try_restart(manager).value();
}

std::vector<std::uint32_t> Dictionary::empty_managers() const {
    return try_empty_managers().value();
}
void Dictionary::destroy(const DestroyOptions& options) {
    try_destroy(options).value();
}

Dictionary Dictionary::attach(std::string_view handle, const AttachOptions& options) {
    return try_attach(handle, options).value();
}

CheckpointInfo Dictionary::save(std::string_view dir, const SaveOptions& options) const {
    return try_save(dir, options).value();
}

CheckpointInfo Dictionary::load(std::string_view path, const LoadOptions& options) const {
    return try_load(path, options).value();
}

CheckpointInfo Dictionary::persist(const SaveOptions& options) const {
    return try_persist(options).value();
}

void Dictionary::clone_to(Dictionary& target, const LoadOptions& options) const {
    try_clone_to(target, options).value();
}

void Dictionary::synchronize_from(const Dictionary& source, const LoadOptions& options) const {
    try_synchronize_from(source, options).value();
}

Dictionary Dictionary::copy(const CreateOptions& options, const LoadOptions& load) const {
    return std::move(try_copy(options, load)).value();
}

void Dictionary::set_checkpoint_store(SharedCheckpointStore store) {
    try_set_checkpoint_store(std::move(store)).value();
}

PersistStatus Dictionary::persist_every(const PersistEveryOptions& options) const {
    return try_persist_every(options).value();
}

PersistStatus Dictionary::persist_status() const {
    return try_persist_status().value();
}

std::vector<std::uint32_t> Dictionary::persisted_ids() const {
    return try_persisted_ids().value();
}

CheckpointInfo Dictionary::restore(std::uint32_t checkpoint, const LoadOptions& options) {
    return try_restore(checkpoint, options).value();
}

CheckpointInfo Dictionary::advance(const LoadOptions& options) {
    return try_advance(options).value();
}

CheckpointInfo Dictionary::load_latest(std::string_view dir, const LoadOptions& options) const {
    return try_load_latest(dir, options).value();
}

}  // namespace ddict

// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Connections whose other end is a process of another host: what is written into their rings a third process
// passes on, as it is (docs/architecture.md, "Tunnels"). A transport hands over the records of such
// connections, and writes those that it is given; where they come from and go to is its owner's matter.
#pragma once

#include "rpc/transport.h"
#include "samehost/handshake.h"
#include "samehost/ring.h"

namespace ddict::samehost {

/// Whoever implements it is no part of the transport, which only knows it between set_tunnels() and
/// unset_tunnels(). Called from inside the transport's poll(), drain() and pass_on_all(); may call it.
class TunnelPort {
  public:
    /// The process that has made this connection asks for a tunnel to somebody else; `name` is that of its
    /// transport. False: it has no right to one, and the connection is to be dropped.
    virtual bool on_request(PeerId link, const LinkName& name, Bytes request) = 0;
    /// A record of a tunnel; whoever has written it may still change its bytes. False: not now, and nothing
    /// more until Transport::resume(). If it `is_last`, of a connection that has gone, there is no later.
    virtual bool on_record(PeerId link, const Record& record, bool is_last) = 0;
    /// All records that there were have been delivered.
    virtual void on_records_end(PeerId link) = 0;
    /// All that was given to Transport::write() is in the ring.
    virtual void on_written(PeerId link) = 0;
    /// Nothing more comes, and nothing can be written any more.
    virtual void on_link_lost(PeerId link) = 0;

  protected:
    ~TunnelPort() = default;
};

}  // namespace ddict::samehost

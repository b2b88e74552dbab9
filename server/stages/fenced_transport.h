// The network of a member that may not lead, because its state is known to be wrong
// (docs/integrity.md): it votes and replicates like every other, for its log is sound, but it asks
// nobody for votes, is no target of a transfer and claims no priority. Stands between the raft
// stage and the real transport; passes everything on while the member is not fenced. On the raft
// lane.
#pragma once

#include <vector>

#include "absl/functional/any_invocable.h"
#include "raft/transport/transport.h"

namespace conclave::server {

class FencedTransport : public raft::Transport {
 public:
  // `transport` must outlive this. `fenced` is asked for every batch.
  FencedTransport(raft::Transport* transport, absl::AnyInvocable<bool() const> fenced);

  void SetReceiver(Receiver receiver) override;
  void Send(std::vector<raft::Message> messages) override;

 private:
  raft::Transport* const transport_;
  const absl::AnyInvocable<bool() const> fenced_;
};

}  // namespace conclave::server

// Where a member's engine lives, so that a snapshot can take its place: beside the live engine a
// second one, the incoming, is filled, and then becomes the live one in one step. A crash at any
// point leaves the old engine or the new one, never a mix and never neither. Two implementations:
// LevelDB (leveldb_home.h) and memory (memory_home.h); the same tests run on both. Used by the
// server at start-up and by the snapshot stage, one call at a time; every call blocks.
//
// An engine that is damaged is replaced in the same way (server/stages/recovery.h).
//
// How a snapshot is taken over:
//
//   incoming = StartIncoming(); fill it; incoming->Flush(); incoming.reset();
//   Adopt();                        the point of no return, durable
//   engine = Open(); store.Adopt(engine); destroy the old engine
//   RemoveOld();
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kvstore/engine/engine.h"

namespace conclave::kv {

class EngineHome {
 public:
  virtual ~EngineHome() = default;

  // The live engine, made empty if there never was one. At most one may be open, but for the time
  // between Adopt and the destruction of the old one. The first call removes what a crash has left
  // behind. Errors: DataLoss if the content is damaged, or of another format than this version's;
  // ResourceExhausted if the disk is full; FailedPrecondition if it cannot be read or somebody else
  // has it open.
  virtual absl::StatusOr<std::unique_ptr<Engine>> Open() = 0;
  // The last Open failed, or an earlier run ended itself, because what the live engine holds is
  // damaged. Open will not be OK before another engine was adopted; the damaged one stays until
  // then.
  virtual bool damaged() const = 0;

  // A second engine, empty, in place of an earlier incoming one, which must be closed. Nothing of
  // it is live before Adopt. It does not wait for space: whoever fills it looks at its CheckSpace.
  virtual absl::StatusOr<std::unique_ptr<Engine>> StartIncoming() = 0;
  // The incoming engine, which the caller has flushed and closed, is the live one from now on, also
  // after a crash. The engine that was live may stay open, and nothing that it writes counts any
  // more. Once a call has failed it is not known which one a restart will find: end the process.
  virtual absl::Status Adopt() = 0;
  // Removes the incoming engine, which must be closed; OK if there is none. What fails to go is
  // tried again by the next StartIncoming and by the next run.
  virtual absl::Status DropIncoming() = 0;
  // Removes what Adopt has replaced, which must be closed; OK if there is nothing.
  virtual absl::Status RemoveOld() = 0;
};

}  // namespace conclave::kv

#include "server/bootstrap/last_members.h"

#include <utility>

namespace conclave::server {

LastMembers::LastMembers(FileSystem* fs, std::string path, Executor* lane)
    : fs_(fs), path_(std::move(path)), lane_(lane) {
  const absl::StatusOr<std::string> text = ReadFile(*fs_, path_);
  if (!text.ok()) return;
  absl::StatusOr<std::vector<InitialMember>> kept = DecodeMemberList(*text);
  if (kept.ok()) members_ = *std::move(kept);
}

void LastMembers::Keep(std::vector<InitialMember> members, File::SyncDone done) {
  if (members == members_) return;
  members_ = std::move(members);
  fs_->RunInBackground([fs = fs_, path = path_,
                        text = EncodeMemberList(members_)] { return ReplaceFile(*fs, path, text); },
                       lane_, std::move(done));
}

}  // namespace conclave::server

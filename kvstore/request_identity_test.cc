// Which ids are taken, and what a fingerprint tells apart.
#include "kvstore/request_identity.h"

#include <string>

#include "gtest/gtest.h"

namespace conclave::kv {
namespace {

TEST(RequestIdentity, LengthIsBounded) {
  for (size_t size = 0; size <= 80; ++size) {
    EXPECT_EQ(IsRequestId(std::string(size, 'x')), size >= 16 && size <= 64) << size;
  }
}

TEST(RequestIdentity, OnlyPrintableCharactersWithoutSpaces) {
  for (int c = 0; c < 256; ++c) {
    std::string id(20, 'x');
    id[7] = static_cast<char>(c);
    EXPECT_EQ(IsRequestId(id), c > 0x20 && c < 0x7f) << c;
  }
}

// On disk and in the logs of running clusters.
TEST(RequestIdentity, FingerprintIsSizeAndCrc32c) {
  EXPECT_EQ(FingerprintOf(""), 0u);
  EXPECT_EQ(FingerprintOf("123456789"), (uint64_t{9} << 32) | 0xe3069283u);  // RFC 3720, B.4
  EXPECT_NE(FingerprintOf("a"), FingerprintOf("b"));
}

TEST(RequestIdentity, ErrorsNameTheMetadata) {
  EXPECT_EQ(ErrBadRequestId(),
            absl::InvalidArgumentError("conclave: conclave-request-id must be 16 to 64 printable "
                                       "ASCII characters without spaces"));
  EXPECT_EQ(ErrRequestIdReused(),
            absl::FailedPreconditionError(
                "conclave: conclave-request-id was used before, for another request"));
  EXPECT_EQ(ErrResponseNotKept(7),
            absl::AlreadyExistsError("conclave: the request was carried out before, as of revision "
                                     "7, and its response was too large to keep"));
}

}  // namespace
}  // namespace conclave::kv

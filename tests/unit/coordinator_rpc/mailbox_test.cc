#include "coordinator/rpc/mailbox.h"

#include <gtest/gtest.h>

#include "coordinator/rpc/open_call.h"
#include "coordinator/rpc/pending_replies.h"

namespace muster::coordinator::rpc {
namespace {

TEST(Mailbox, HandsOutInTheOrderOfPosting) {
  Mailbox mailbox(10);
  ASSERT_TRUE(mailbox.Post(core::WorkerDisconnected{SessionId(1), ""}).ok());
  ASSERT_TRUE(mailbox.Ask([](const core::Cluster&) { return [] {}; }).ok());
  ASSERT_TRUE(mailbox.Post(core::WorkerDisconnected{SessionId(2), ""}).ok());
  const std::vector<Letter> letters = mailbox.Take(absl::ZeroDuration());
  ASSERT_EQ(letters.size(), 3);
  EXPECT_EQ(std::get<core::WorkerDisconnected>(std::get<core::Input>(letters[0])).session.value(),
            1);
  EXPECT_TRUE(std::holds_alternative<Question>(letters[1]));
  EXPECT_EQ(std::get<core::WorkerDisconnected>(std::get<core::Input>(letters[2])).session.value(),
            2);
  EXPECT_EQ(mailbox.depth(), 0);
}

TEST(Mailbox, RefusesWhenFullButNotTheEndOfASession) {
  Mailbox mailbox(2);
  ASSERT_TRUE(mailbox.Post(core::Tick{}).ok());
  ASSERT_TRUE(mailbox.Post(core::Tick{}).ok());
  EXPECT_EQ(mailbox.Post(core::Tick{}).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(mailbox.Ask([](const core::Cluster&) { return [] {}; }).code(),
            absl::StatusCode::kResourceExhausted);
  mailbox.PostAlways(core::WorkerDisconnected{SessionId(1), "gone"});
  EXPECT_EQ(mailbox.Take(absl::ZeroDuration()).size(), 3);
  EXPECT_TRUE(mailbox.Post(core::Tick{}).ok());
}

TEST(Mailbox, ClosedRefusesAndHandsOutTheRest) {
  Mailbox mailbox(2);
  ASSERT_TRUE(mailbox.Post(core::Tick{}).ok());
  mailbox.Close();
  EXPECT_EQ(mailbox.Post(core::Tick{}).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(mailbox.Take(absl::InfiniteDuration()).size(), 1);
  EXPECT_EQ(mailbox.Take(absl::InfiniteDuration()).size(), 0);
}

TEST(PendingReplies, AnswersEachCallerOnce) {
  PendingReplies replies;
  int answered = 0;
  const RequestToken token = replies.Expect([&](const core::Reply& reply) {
    EXPECT_TRUE(reply.status.ok());
    ++answered;
  });
  const RequestToken forgotten = replies.Expect([](const core::Reply&) { FAIL(); });
  EXPECT_NE(token, forgotten);
  replies.Forget(forgotten);
  replies.Answer({token, absl::OkStatus(), {}});
  replies.Answer({token, absl::OkStatus(), {}});
  replies.Answer({forgotten, absl::OkStatus(), {}});
  EXPECT_EQ(answered, 1);
}

TEST(PendingReplies, FailAllTellsEverybodyWhoWaits) {
  PendingReplies replies;
  std::vector<absl::StatusCode> codes;
  for (int i = 0; i < 2; ++i) {
    replies.Expect([&](const core::Reply& reply) { codes.push_back(reply.status.code()); });
  }
  replies.FailAll(absl::UnavailableError("stopping"));
  EXPECT_EQ(codes, std::vector<absl::StatusCode>(2, absl::StatusCode::kUnavailable));
}

TEST(OpenCall, IsEndedOnceWhateverHappens) {
  std::vector<absl::StatusCode> ends;
  const auto note = [&](const absl::Status& status) { ends.push_back(status.code()); };
  { OpenCall lost(note); }
  {
    OpenCall answered(note);
    answered.End(absl::OkStatus());
    answered.End(absl::NotFoundError(""));
  }
  {
    OpenCall released(note);
    released.Release();
  }
  EXPECT_EQ(ends, (std::vector{absl::StatusCode::kUnavailable, absl::StatusCode::kOk}));
}

}  // namespace
}  // namespace muster::coordinator::rpc

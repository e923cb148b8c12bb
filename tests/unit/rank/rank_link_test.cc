// Drives the C library over a socketpair, with the test as the shim.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "rank/collective_ring.h"
#include "rank/link_frame.h"
#include "rank/muster_rank.h"

namespace {

using ::testing::HasSubstr;

template <typename Part>
std::string BytesOf(const Part& part) {
  return std::string(reinterpret_cast<const char*>(&part), sizeof(part));
}

class RankLink : public ::testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    shim_ = ends[0];
    const int pages_fd = memfd_create("pages", 0);
    ASSERT_EQ(ftruncate(pages_fd, MUSTER_PAGES_SIZE), 0);
    pages_ = static_cast<muster_pages*>(
        mmap(nullptr, MUSTER_PAGES_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, pages_fd, 0));
    muster_pages_init(pages_);
    setenv("MUSTER_LINK_FD", std::to_string(ends[1]).c_str(), 1);
    setenv("MUSTER_PAGES_FD", std::to_string(pages_fd).c_str(), 1);
    ASSERT_EQ(muster_rank_open(&rank_), 0) << muster_rank_error(nullptr);
    close(pages_fd);
  }
  void TearDown() override {
    muster_rank_close(rank_);
    HangUp();
    munmap(pages_, MUSTER_PAGES_SIZE);
    unsetenv("MUSTER_LINK_FD");
    unsetenv("MUSTER_PAGES_FD");
  }

  void HangUp() {
    if (shim_ >= 0) close(shim_);
    shim_ = -1;
  }
  void Send(muster_frame_type type, const std::string& body) {
    muster_frame_header header = {};
    header.size = static_cast<uint32_t>(body.size());
    header.type = static_cast<uint16_t>(type);
    header.version = MUSTER_LINK_VERSION;
    const std::string bytes = BytesOf(header) + body;
    ASSERT_EQ(write(shim_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  std::string Receive(muster_frame_type type) {
    muster_frame_header header = {};
    EXPECT_EQ(recv(shim_, &header, sizeof(header), MSG_WAITALL),
              static_cast<ssize_t>(sizeof(header)));
    EXPECT_EQ(header.type, type);
    std::string body(header.size, 0);
    EXPECT_EQ(recv(shim_, body.data(), body.size(), MSG_WAITALL),
              static_cast<ssize_t>(body.size()));
    return body;
  }
  void Reply(muster_frame_type type, uint32_t id, int32_t error, const std::string& rest) {
    Send(type, BytesOf(muster_frame_reply{id, error}) + rest);
  }

  int shim_ = -1;
  muster_pages* pages_ = nullptr;
  muster_rank* rank_ = nullptr;
};

TEST(RankLinkWithoutWorker, SaysSoAndLetsTheProgramRunOn) {
  unsetenv("MUSTER_LINK_FD");
  muster_rank* rank = nullptr;
  EXPECT_EQ(muster_rank_open(&rank), -ENOENT);
  EXPECT_EQ(rank, nullptr);
  EXPECT_THAT(muster_rank_error(nullptr), HasSubstr("not started by a worker"));
}

TEST(RankLinkWithoutWorker, RefusesADescriptorThatIsNoSocket) {
  for (const char* text : {"999999", "x", "0x5", "-1"}) {
    setenv("MUSTER_LINK_FD", text, 1);
    muster_rank* rank = nullptr;
    EXPECT_EQ(muster_rank_open(&rank), -EBADF) << text;
  }
  unsetenv("MUSTER_LINK_FD");
}

TEST_F(RankLink, HelloCarriesRankAndWorld) {
  std::thread shim([&] {
    muster_frame_hello hello;
    const std::string body = Receive(MUSTER_FRAME_HELLO);
    ASSERT_EQ(body.size(), sizeof(hello));
    std::memcpy(&hello, body.data(), sizeof(hello));
    EXPECT_EQ(hello.rank, 3u);
    EXPECT_EQ(hello.world_size, 4u);
    Reply(MUSTER_FRAME_HELLO_REPLY, 0, 0, "");
  });
  EXPECT_EQ(muster_rank_hello(rank_, 3, 4), 0);
  shim.join();
}

TEST_F(RankLink, RefusedHelloGivesTheShimsWords) {
  Reply(MUSTER_FRAME_HELLO_REPLY, 0, -EINVAL, "rank 3 of 4 takes itself for rank 0 of 1");
  EXPECT_EQ(muster_rank_hello(rank_, 0, 1), -EINVAL);
  EXPECT_STREQ(muster_rank_error(rank_), "rank 3 of 4 takes itself for rank 0 of 1");
}

TEST_F(RankLink, ExchangeReturnsTheBlobsAndSkipsLateAnswers) {
  Reply(MUSTER_FRAME_EXCHANGE_RESULT, 0, 0, "late answer of another");
  Reply(MUSTER_FRAME_EXCHANGE_RESULT, 1, 0, std::string("\2\0\0\0ab\0\0\0\0", 10));
  void* blobs = nullptr;
  size_t size = 0;
  ASSERT_EQ(muster_rank_exchange(rank_, "key", "ab", 2, 10000, &blobs, &size), 0);
  EXPECT_EQ(std::string(static_cast<char*>(blobs), size), std::string("\2\0\0\0ab\0\0\0\0", 10));
  free(blobs);
  const std::string sent = Receive(MUSTER_FRAME_EXCHANGE);
  EXPECT_EQ(sent, BytesOf(muster_frame_exchange{1, 3}) + "keyab");
}

TEST_F(RankLink, ExchangeThatNobodyJoinsTimesOut) {
  void* blobs = nullptr;
  size_t size = 0;
  EXPECT_EQ(muster_rank_exchange(rank_, "key", "", 0, 0, &blobs, &size), -ETIMEDOUT);
  EXPECT_THAT(muster_rank_error(rank_), HasSubstr("exchange \"key\": not every rank came"));
  // The link still works.
  Reply(MUSTER_FRAME_HELLO_REPLY, 0, 0, "");
  EXPECT_EQ(muster_rank_hello(rank_, 0, 1), 0);
}

TEST_F(RankLink, LargeExchangeGoesThroughInBothDirections) {
  const std::string blob(8 << 20, 'x');
  std::thread shim([&] {
    const std::string body = Receive(MUSTER_FRAME_EXCHANGE);
    Reply(MUSTER_FRAME_EXCHANGE_RESULT, 1, 0, body.substr(sizeof(muster_frame_exchange) + 1));
  });
  void* blobs = nullptr;
  size_t size = 0;
  ASSERT_EQ(muster_rank_exchange(rank_, "k", blob.data(), blob.size(), 60000, &blobs, &size), 0);
  EXPECT_EQ(std::string(static_cast<char*>(blobs), size), blob);
  free(blobs);
  shim.join();
}

TEST_F(RankLink, CommitIsAskedPolledAndAnswered) {
  uint8_t digest[32];
  std::memset(digest, 0xab, sizeof(digest));
  ASSERT_EQ(muster_rank_commit_request(rank_, 20, digest, 4096), 0);
  muster_frame_commit commit;
  const std::string body = Receive(MUSTER_FRAME_COMMIT_REQUEST);
  std::memcpy(&commit, body.data(), sizeof(commit));
  EXPECT_EQ(commit.step, 20u);
  EXPECT_EQ(commit.bytes, 4096u);
  EXPECT_EQ(commit.manifest_sha256[31], 0xab);

  muster_commit_answer answer = MUSTER_COMMIT_REFUSED;
  EXPECT_EQ(muster_rank_commit_poll(rank_, 20, 0, &answer), 0);
  EXPECT_EQ(answer, MUSTER_COMMIT_PENDING);
  Send(MUSTER_FRAME_COMMIT_ANSWER, BytesOf(muster_frame_answer{20, MUSTER_COMMIT_PERMITTED, 0}));
  EXPECT_EQ(muster_rank_commit_poll(rank_, 20, 10000, &answer), 0);
  EXPECT_EQ(answer, MUSTER_COMMIT_PERMITTED);
  EXPECT_EQ(muster_rank_commit_poll(rank_, 40, 0, &answer), -EINVAL) << "never asked for";
}

TEST_F(RankLink, RefusedCommitKeepsTheReason) {
  const uint8_t digest[32] = {};
  ASSERT_EQ(muster_rank_commit_request(rank_, 20, digest, 1), 0);
  Send(MUSTER_FRAME_COMMIT_ANSWER,
       BytesOf(muster_frame_answer{20, MUSTER_COMMIT_REFUSED, 0}) + "attempt 2 has ended");
  muster_commit_answer answer = MUSTER_COMMIT_PENDING;
  EXPECT_EQ(muster_rank_commit_poll(rank_, 20, 10000, &answer), 0);
  EXPECT_EQ(answer, MUSTER_COMMIT_REFUSED);
  EXPECT_THAT(muster_rank_error(rank_), HasSubstr("attempt 2 has ended"));
}

TEST_F(RankLink, AnswerThatComesDuringAnExchangeIsNotLost) {
  const uint8_t digest[32] = {};
  ASSERT_EQ(muster_rank_commit_request(rank_, 20, digest, 1), 0);
  Send(MUSTER_FRAME_COMMIT_ANSWER, BytesOf(muster_frame_answer{20, MUSTER_COMMIT_PERMITTED, 0}));
  Reply(MUSTER_FRAME_EXCHANGE_RESULT, 1, 0, "");
  void* blobs = nullptr;
  size_t size = 0;
  ASSERT_EQ(muster_rank_exchange(rank_, "k", "", 0, 10000, &blobs, &size), 0);
  free(blobs);
  muster_commit_answer answer = MUSTER_COMMIT_PENDING;
  EXPECT_EQ(muster_rank_commit_poll(rank_, 20, 0, &answer), 0);
  EXPECT_EQ(answer, MUSTER_COMMIT_PERMITTED);
}

TEST_F(RankLink, DeadShimGivesErrorsNotHangsNorSignals) {
  HangUp();
  EXPECT_EQ(muster_rank_hello(rank_, 0, 1), -EPIPE);
  EXPECT_THAT(muster_rank_error(rank_), HasSubstr("shim is gone"));
  const uint8_t digest[32] = {};
  EXPECT_EQ(muster_rank_commit_request(rank_, 20, digest, 1), -EPIPE);
  EXPECT_EQ(muster_rank_commit_done(rank_, 20, digest, 1), -EPIPE);
  EXPECT_EQ(muster_rank_pruned(rank_, 20, 1), -EPIPE);
}

TEST_F(RankLink, FrameOfAnotherVersionBreaksTheLink) {
  const muster_frame_header header = {8, MUSTER_FRAME_HELLO_REPLY, 9};
  ASSERT_EQ(write(shim_, &header, sizeof(header)), static_cast<ssize_t>(sizeof(header)));
  EXPECT_EQ(muster_rank_hello(rank_, 0, 1), -EPROTO);
  EXPECT_EQ(muster_rank_hello(rank_, 0, 1), -EPIPE);
}

TEST_F(RankLink, PublishFillsTheStatusPage) {
  muster_rank_status status = {};
  status.phase = MUSTER_PHASE_STEP;
  status.step = 41;
  status.loss = 2.5;
  muster_rank_publish(rank_, &status);
  muster_status_body body;
  ASSERT_EQ(muster_pages_read_status(&pages_->status, 1, &body), 1);
  EXPECT_EQ(body.flags, 0u);
  muster_rank_stragglers(rank_, 1.5);
  muster_rank_from_memory(rank_, 1);
  muster_rank_publish(rank_, &status);
  ASSERT_EQ(muster_pages_read_status(&pages_->status, 1, &body), 1);
  EXPECT_EQ(body.flags, MUSTER_STATUS_FROM_MEMORY);
  EXPECT_EQ(body.updates, 2u);
  EXPECT_EQ(body.status.step, 41u);
  EXPECT_EQ(body.status.loss, 2.5);
  EXPECT_EQ(body.straggler_seconds, 1.5);
  EXPECT_GT(body.monotonic_ns, 0);
}

TEST_F(RankLink, CollectivesAreCountedByGroup) {
  const auto begin = [&](muster_group group) {
    return muster_rank_collective_begin(rank_, MUSTER_COLLECTIVE_ALL_REDUCE, group, 64);
  };
  begin(MUSTER_GROUP_WORLD);
  begin(MUSTER_GROUP_DATA);
  const uint64_t started = muster_rank_collective_start(rank_, MUSTER_COLLECTIVE_REDUCE_SCATTER,
                                                        MUSTER_GROUP_DATA, 4096);
  const uint64_t last = begin(MUSTER_GROUP_WORLD);
  muster_rank_collective_done(rank_, last);
  muster_collective_entry entry;
  ASSERT_EQ(muster_ring_read(&pages_->status, started, &entry), 1);
  EXPECT_EQ(entry.operation, MUSTER_COLLECTIVE_REDUCE_SCATTER);
  EXPECT_EQ(entry.sequence, 2u) << "of its group";
  EXPECT_EQ(entry.bytes, 4096u);
  EXPECT_EQ(entry.state, MUSTER_ENTRY_STARTED);
  EXPECT_GT(entry.begin_monotonic_ns, 0);
  ASSERT_EQ(muster_ring_read(&pages_->status, last, &entry), 1);
  EXPECT_EQ(entry.sequence, 2u);
  EXPECT_EQ(entry.state, MUSTER_ENTRY_DONE);
  muster_rank_collective_wait(rank_, started);
  ASSERT_EQ(muster_ring_read(&pages_->status, started, &entry), 1);
  EXPECT_EQ(entry.state, MUSTER_ENTRY_INSIDE);
}

TEST_F(RankLink, ASaveInTroubleIsTold) {
  ASSERT_EQ(muster_rank_save_trouble(rank_, MUSTER_SAVE_STORAGE, 40, "no space left"), 0);
  const std::string body = Receive(MUSTER_FRAME_SAVE_TROUBLE);
  muster_frame_save_trouble told;
  ASSERT_GE(body.size(), sizeof(told));
  std::memcpy(&told, body.data(), sizeof(told));
  EXPECT_EQ(told.kind, MUSTER_SAVE_STORAGE);
  EXPECT_EQ(told.step, 40u);
  EXPECT_EQ(body.substr(sizeof(told)), "no space left");
  ASSERT_EQ(muster_rank_save_trouble(rank_, MUSTER_SAVE_STORAGE, 60, nullptr), 0);
  EXPECT_EQ(Receive(MUSTER_FRAME_SAVE_TROUBLE).size(), sizeof(told)) << "over";
  const std::string endless(5000, 'x');
  ASSERT_EQ(muster_rank_save_trouble(rank_, MUSTER_SAVE_NO_SLOTS, 0, endless.c_str()), 0);
  EXPECT_EQ(Receive(MUSTER_FRAME_SAVE_TROUBLE).size(),
            sizeof(told) + MUSTER_SAVE_TROUBLE_BYTES_MAX);
}

TEST_F(RankLink, OrderPageIsRead) {
  EXPECT_EQ(muster_rank_wanted_stop(rank_), 0);
  EXPECT_EQ(muster_rank_wanted_save(rank_), 0u);
  pages_->order.stop = 1;
  pages_->order.save = 5;
  EXPECT_EQ(muster_rank_wanted_stop(rank_), 1);
  EXPECT_EQ(muster_rank_wanted_save(rank_), 5u);
}

}  // namespace

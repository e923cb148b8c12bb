#include "rank/pages.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

namespace {

muster_status_body BodyOf(uint64_t number) {
  muster_status_body body = {};
  body.updates = number;
  body.monotonic_ns = static_cast<int64_t>(number);
  body.status.step = number;
  body.status.loss = static_cast<double>(number);
  body.status.first_eval_bits_per_byte = static_cast<double>(number);
  body.straggler_seconds = static_cast<double>(number);  // the last word
  return body;
}

TEST(Pages, ReaderNeverSeesHalfOfAWrite) {
  auto pages = std::make_unique<muster_pages>();
  muster_pages_init(pages.get());
  std::atomic<bool> end = false;
  std::thread writer([&] {
    for (uint64_t number = 1; !end; ++number) {
      const muster_status_body body = BodyOf(number);
      muster_pages_write_status(&pages->status, &body);
    }
  });
  uint64_t last = 0;
  for (int reads = 0; reads < 200000;) {
    muster_status_body body;
    if (muster_pages_read_status(&pages->status, 1, &body) == 0) continue;
    ++reads;
    ASSERT_EQ(static_cast<uint64_t>(body.monotonic_ns), body.updates);
    ASSERT_EQ(body.status.step, body.updates);
    ASSERT_EQ(body.status.loss, static_cast<double>(body.updates));
    ASSERT_EQ(body.status.first_eval_bits_per_byte, static_cast<double>(body.updates));
    ASSERT_EQ(body.straggler_seconds, static_cast<double>(body.updates));
    ASSERT_GE(body.updates, last);
    last = body.updates;
  }
  end = true;
  writer.join();
}

TEST(Pages, WriterKilledInsideAWriteIsNotRead) {
  auto pages = std::make_unique<muster_pages>();
  muster_pages_init(pages.get());
  const muster_status_body written = BodyOf(7);
  muster_pages_write_status(&pages->status, &written);
  pages->status.sequence += 1;  // as a writer that went no further leaves it
  muster_status_body body = BodyOf(3);
  EXPECT_EQ(muster_pages_read_status(&pages->status, 100, &body), 0);
  EXPECT_EQ(body.updates, 3u) << "left as it was";
}

}  // namespace

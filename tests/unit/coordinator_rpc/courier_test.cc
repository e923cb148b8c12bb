#include "coordinator/daemon/courier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace muster::coordinator::daemon {
namespace {

using ::testing::ElementsAre;

TEST(Courier, DeliversNothingBeforeItIsDurableAndKeepsTheOrder) {
  std::vector<std::string> delivered;
  Courier courier([](const absl::Status&) { FAIL(); });
  courier.Add(0, [&] { delivered.push_back("needs nothing"); });
  courier.Add(1, [&] { delivered.push_back("needs one"); });
  courier.Add(1, [&] { delivered.push_back("waits behind it"); });
  courier.Add(2, [&] { delivered.push_back("needs two"); });
  courier.Durable(absl::OkStatus());
  courier.Durable(absl::OkStatus());
  courier.Stop();
  EXPECT_THAT(delivered, ElementsAre("needs nothing", "needs one", "waits behind it", "needs two"));
}

TEST(Courier, WhatIsNotDurableAtTheEndIsDroppedAndDestroyed) {
  auto token = std::make_shared<int>(1);
  bool delivered = false;
  Courier courier([](const absl::Status&) {});
  courier.Add(1, [&delivered, token] { delivered = true; });
  EXPECT_EQ(token.use_count(), 2);
  courier.Stop();
  EXPECT_FALSE(delivered);
  EXPECT_EQ(token.use_count(), 1);
}

TEST(Courier, AfterAJournalFailureNothingIsDeliveredAndItIsToldOnce) {
  int failures = 0;
  std::vector<int> delivered;
  Courier courier([&](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    ++failures;
  });
  courier.Durable(absl::ResourceExhaustedError("disk full"));
  courier.Add(0, [&] { delivered.push_back(0); });
  courier.Add(1, [&] { delivered.push_back(1); });
  courier.Durable(absl::OkStatus());
  courier.Durable(absl::ResourceExhaustedError("disk full"));
  courier.Stop();
  EXPECT_EQ(failures, 1);
  EXPECT_THAT(delivered, ElementsAre());
}

}  // namespace
}  // namespace muster::coordinator::daemon

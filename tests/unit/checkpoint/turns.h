// Several actors on one disk, one call at a time, in an order drawn from a seed.
//
// Threads: one per actor, but only the one whose turn it is runs; so a seed replays.
#pragma once

#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "common/check.h"

namespace muster::checkpoint {

class Turns {
 public:
  using Actor = std::function<void(size_t index)>;

  explicit Turns(uint64_t seed) : random_(seed) {}

  // Runs all to their end.
  void Run(const std::vector<Actor>& actors) {
    {
      absl::MutexLock lock(&mutex_);
      alive_.assign(actors.size(), true);
      turn_ = random_() % actors.size();
    }
    std::vector<std::thread> threads;
    for (size_t i = 0; i < actors.size(); ++i) {
      threads.emplace_back([this, &actors, i] {
        WaitForTurn(i);
        actors[i](i);
        absl::MutexLock lock(&mutex_);
        alive_[i] = false;
        Draw();
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  // Lets the others have their turns; returns when it is this actor's again.
  void Pass(size_t index) {
    {
      absl::MutexLock lock(&mutex_);
      CHECK(turn_ == index, "actor {} runs in the turn of {}", index, turn_);
      Draw();
    }
    WaitForTurn(index);
  }

 private:
  void Draw() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<size_t> able;
    for (size_t i = 0; i < alive_.size(); ++i) {
      if (alive_[i]) able.push_back(i);
    }
    if (!able.empty()) turn_ = able[random_() % able.size()];
  }
  void WaitForTurn(size_t index) {
    absl::MutexLock lock(&mutex_);
    auto mine = [this, index] {
      mutex_.AssertReaderHeld();
      return turn_ == index;
    };
    mutex_.Await(absl::Condition(&mine));
  }

  absl::Mutex mutex_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  std::vector<bool> alive_ ABSL_GUARDED_BY(mutex_);
  size_t turn_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace muster::checkpoint

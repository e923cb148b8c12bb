// One rank as a process of the shim: spawned into a group of its own, its output in pipes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/launch/environment.h"
#include "worker/shim/loop.h"
#include "worker/shim/rank_channel.h"
#include "worker/shim/rank_command.h"
#include "worker/shim/rank_log.h"
#include "worker/shim/rank_pages.h"

namespace muster::worker::shim {

class RankProcess {
 public:
  struct Setup {
    uint32_t rank = 0;
    std::string folder;      // the attempt's; the process is recorded there before it runs
    std::string log_folder;  // of this rank
    uint64_t log_bytes_max = 0;
    RankCommand command;
    launch::Environment environment;
  };

  // Errors: the message is for the user: what could not be started, and what to check. Nothing is
  // left then. The process dies with the calling thread.
  static absl::StatusOr<std::unique_ptr<RankProcess>> Spawn(const Setup& setup, Loop* loop,
                                                            RankChannel::Received received);
  ~RankProcess();
  RankProcess(const RankProcess&) = delete;
  RankProcess& operator=(const RankProcess&) = delete;

  int pid() const { return pid_; }
  RankPages& pages() { return *pages_; }
  RankChannel& channel() { return *channel_; }

  // To the whole process group; nothing once Forget was called.
  void Signal(int signal);
  // The process is about to be reaped; its number may then belong to somebody else.
  void Forget() { group_ = 0; }

  // Takes what is in the pipes now, without waiting.
  void DrainOutput();
  std::vector<std::string> LastOutput() const { return last_lines_.All(); }

 private:
  explicit RankProcess(Loop* loop) : loop_(loop) {}
  // link: the rank's end of it.
  absl::Status Start(const Setup& setup, int link);
  // Reads until there is nothing; false at the end of the stream.
  bool DrainStream(size_t stream);
  void CloseStream(size_t stream);

  Loop* loop_;
  int pid_ = 0;
  int group_ = 0;
  int streams_[2] = {-1, -1};  // stdout, stderr
  std::unique_ptr<LogFile> files_[2];
  LastLines last_lines_{2};
  std::unique_ptr<RankPages> pages_;
  std::unique_ptr<RankChannel> channel_;
};

}  // namespace muster::worker::shim

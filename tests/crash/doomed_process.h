// A child process under the shim that counts its calls below a folder and kills it at one of them.
//
// Threads: one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/crash/crash_page.h"

namespace muster {

// The page in a file of a test's folder. What a child counted stays readable after its death.
class MappedCrashPage {
 public:
  explicit MappedCrashPage(const std::string& path);
  ~MappedCrashPage();
  MappedCrashPage(const MappedCrashPage&) = delete;
  MappedCrashPage& operator=(const MappedCrashPage&) = delete;

  // The call `calls` after the ones counted so far kills; UINT64_MAX: none does.
  void KillAt(uint64_t calls, CrashWhen when);
  uint64_t calls() const { return page_->calls; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  CrashPage* page_ = nullptr;
};

class DoomedProcess {
 public:
  // Its standard output is read to its end by Lines(); `folder` is what the shim watches.
  DoomedProcess(const std::vector<std::string>& command, const std::string& folder,
                const MappedCrashPage& page);
  ~DoomedProcess();  // kills and reaps
  DoomedProcess(const DoomedProcess&) = delete;
  DoomedProcess& operator=(const DoomedProcess&) = delete;

  std::vector<std::string> Lines();
  bool IsRunning();  // without waiting
  // Waits for its end; true when SIGKILL ended it, false when it ended by itself with status 0.
  // CHECKs that it is one of the two.
  bool WasKilled();
  void Kill();

 private:
  pid_t pid_ = -1;
  int out_ = -1;
  int status_ = 0;
};

}  // namespace muster

#include "rank/checkpoint/node_identity.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <fstream>

#include "checkpoint/digest.h"

namespace muster::rank {

uint64_t NodeIdentity(const std::string& vault) {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  std::array<char, 256> host = {};
  ::gethostname(host.data(), host.size() - 1);
  std::string text = fmt::format("{} {}", boot, host.data());
  struct stat folder = {};
  if (!vault.empty() && ::stat(vault.c_str(), &folder) == 0) {
    text += fmt::format(" {} {}", folder.st_dev, folder.st_ino);
  }
  const std::string digits = checkpoint::Sha256Hex(text).substr(0, 16);
  uint64_t identity = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), identity, 16);
  return identity;
}

}  // namespace muster::rank

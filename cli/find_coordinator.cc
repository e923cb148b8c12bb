#include "cli/find_coordinator.h"

#include <cstdlib>
#include <fstream>

#include "common/status.h"

namespace muster::cli {
namespace {

std::string FromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

absl::StatusOr<std::string> Checked(const std::string& address, const std::string& from) {
  const size_t colon = address.rfind(':');
  const bool good = colon != std::string::npos && colon > 0 && colon + 1 < address.size() &&
                    address.find_first_not_of("0123456789", colon + 1) == std::string::npos;
  if (good) return address;
  return InvalidArgument("{}: \"{}\" is not HOST:PORT, for example 127.0.0.1:7070", from, address);
}

}  // namespace

std::string StateFolder(const CoordinatorHints& hints) {
  if (!hints.state.empty()) return hints.state;
  const std::string state = FromEnvironment("MUSTER_STATE");
  return state.empty() ? ".muster" : state;
}

std::string AddressFile(const std::string& state) { return state + "/coordinator/address"; }

absl::StatusOr<std::string> FindCoordinator(const CoordinatorHints& hints) {
  if (!hints.coordinator.empty()) return Checked(hints.coordinator, "--coordinator");
  if (const std::string address = FromEnvironment("MUSTER_COORDINATOR"); !address.empty()) {
    return Checked(address, "MUSTER_COORDINATOR");
  }
  const std::string file = AddressFile(StateFolder(hints));
  std::string address;
  if (std::ifstream in(file); std::getline(in, address)) return Checked(address, file);
  return Unavailable(
      "no coordinator known: no --coordinator, no MUSTER_COORDINATOR, no {}; start a cluster on "
      "this machine with: muster dev up",
      file);
}

}  // namespace muster::cli

#include "worker/launch/interface.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <array>

namespace muster::worker::launch {
namespace {

std::string AddressText(const sockaddr* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes = nullptr;
  if (address->sa_family == AF_INET) {
    bytes = &reinterpret_cast<const sockaddr_in*>(address)->sin_addr;
  } else if (address->sa_family == AF_INET6) {
    bytes = &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  }
  if (bytes == nullptr) return "";
  const char* done = inet_ntop(address->sa_family, bytes, text.data(), text.size());
  return done == nullptr ? "" : done;
}

}  // namespace

std::string InterfaceOf(const std::string& address) {
  ifaddrs* list = nullptr;
  if (address.empty() || getifaddrs(&list) != 0) return "";
  std::string name;
  for (const ifaddrs* entry = list; entry != nullptr && name.empty(); entry = entry->ifa_next) {
    if (entry->ifa_addr != nullptr && AddressText(entry->ifa_addr) == address) {
      name = entry->ifa_name;
    }
  }
  freeifaddrs(list);
  return name;
}

}  // namespace muster::worker::launch

#include "trainer/parallel/mesh.h"

#include <fmt/format.h>

#include <charconv>

#include "common/check.h"
#include "common/status.h"

namespace muster::trainer::parallel {

absl::StatusOr<Mesh> Mesh::Parse(std::string_view text) {
  Mesh mesh;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view item = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    const size_t equals = item.find('=');
    if (equals == std::string_view::npos) {
      return InvalidArgument(R"(parse mesh "{}": "{}" is not axis=size)", text, item);
    }
    Axis axis{std::string(item.substr(0, equals)), 0};
    const std::string_view size = item.substr(equals + 1);
    const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), axis.size);
    if (error != std::errc() || end != size.data() + size.size() || axis.size < 1) {
      return InvalidArgument(R"(parse mesh "{}": size "{}" of axis {} is not a number above 0)",
                             text, size, axis.name);
    }
    if (axis.name != "data" && axis.name != "tensor") {
      return InvalidArgument(R"(parse mesh "{}": no axis "{}"; there are data and tensor)", text,
                             axis.name);
    }
    for (const Axis& other : mesh.axes_) {
      if (other.name == axis.name) {
        return InvalidArgument(R"(parse mesh "{}": axis {} stands twice)", text, axis.name);
      }
    }
    if (int64_t{mesh.ranks()} * axis.size > 1'000'000) {
      return InvalidArgument(R"(parse mesh "{}": more than 1,000,000 ranks)", text);
    }
    mesh.axes_.push_back(std::move(axis));
  }
  return mesh;
}

int Mesh::ranks() const {
  int ranks = 1;
  for (const Axis& axis : axes_) ranks *= axis.size;
  return ranks;
}

int Mesh::Size(std::string_view axis) const {
  for (const Axis& a : axes_) {
    if (a.name == axis) return a.size;
  }
  return 1;
}

int Mesh::Stride(std::string_view axis) const {
  int stride = 1;
  for (size_t i = axes_.size(); i-- > 0;) {
    if (axes_[i].name == axis) return stride;
    stride *= axes_[i].size;
  }
  return 1;
}

int Mesh::Coordinate(int rank, std::string_view axis) const {
  CHECK(rank >= 0 && rank < ranks(), "rank {} of {}", rank, ranks());
  return rank / Stride(axis) % Size(axis);
}

int Mesh::GroupColor(int rank, std::string_view axis) const {
  return rank - Coordinate(rank, axis) * Stride(axis);
}

std::string Mesh::ToString() const {
  std::string text;
  for (const Axis& axis : axes_) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", axis.name, axis.size);
  }
  return text;
}

}  // namespace muster::trainer::parallel

// Real text for tests: part of the Python standard library where there is one, else our own
// sources.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace muster::dataset {

// Copies about `bytes` of it into `folder`.
inline void CopyRealText(const std::string& folder, uint64_t bytes) {
  namespace fs = std::filesystem;
  const fs::path stdlib = "/usr/lib/python3.11";
  const fs::path source = fs::exists(stdlib) ? stdlib : fs::current_path() / "coordinator";
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(source)) {
    const std::string end = entry.path().extension().string();
    if (entry.is_regular_file() && !entry.is_symlink() &&
        (end == ".py" || end == ".cc" || end == ".h")) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  uint64_t copied = 0;
  for (const fs::path& file : files) {
    if (copied >= bytes) break;
    const fs::path to = fs::path(folder) / fs::relative(file, source);
    fs::create_directories(to.parent_path());
    fs::copy_file(file, to);
    copied += fs::file_size(file);
  }
}

inline std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace muster::dataset

// SPDX-License-Identifier: Apache-2.0
#include "cli/config_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <optional>
#include <set>
#include <sstream>

#include "cli/files.h"

namespace refrain::cli {
namespace {

/// Finds where a second document begins. YAML::LoadAll would go on to the last one, and out of a comma that
/// stands alone yaml-cpp 0.7 makes documents until memory ends.
class SecondDocument final : public YAML::EventHandler {
 public:
  static std::optional<int> line_of(const std::string& yaml) {
    std::istringstream in(yaml);
    YAML::Parser parser(in);
    SecondDocument found;
    if (!parser.HandleNextDocument(found)) return std::nullopt;
    found.line_.reset();
    if (!parser.HandleNextDocument(found)) return std::nullopt;
    return found.line_;
  }
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { at(mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { at(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t, const std::string&) override {
    at(mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    at(mark);
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    at(mark);
  }
  void OnMapEnd() override {}

 private:
  void at(const YAML::Mark& mark) {
    if (!line_) line_ = mark.line + 1;
  }
  std::optional<int> line_;
};

constexpr std::size_t kDeepest = 6;  // the deepest key is requests.namespaces.NAME.lease

class Flattener {
 public:
  Flattener(const std::string& file, FileSettings& out) : file_(file), out_(out) {}

  void map(const YAML::Node& map, const std::vector<std::string>& path) {
    std::set<std::string> seen;
    for (const auto& entry : map) {
      if (!entry.first.IsScalar()) {
        fail(entry.first, path, "has a key that is no plain text");
        continue;
      }
      auto below = path;
      below.push_back(entry.first.Scalar());
      if (!seen.insert(entry.first.Scalar()).second)
        fail(entry.first, below, "stands here twice");
      else
        value(entry.second, below, where(entry.first));
    }
  }

 private:
  void value(const YAML::Node& node, const std::vector<std::string>& path, const std::string& place) {
    using Kind = Setting::Kind;
    if (path.size() >= kDeepest) return fail(node, path, "is nested too deep");
    if (node.IsMap() && node.size() > 0) return map(node, path);
    if (node.IsMap()) return add(path, "", Kind::kEmptySection, place);
    if (node.IsSequence()) return list(node, path, place);
    if (node.IsScalar()) return add(path, node.Scalar(), Kind::kScalar, place);
    add(path, "", Kind::kNothing, place);
  }

  void list(const YAML::Node& node, const std::vector<std::string>& path, const std::string& place) {
    std::vector<std::string> items;
    for (const auto& item : node) {
      if (!item.IsScalar() || item.Scalar().find(',') != std::string::npos)
        return fail(item, path, "has an item that is no plain text");
      items.push_back(item.Scalar());
    }
    add(path, fmt::format("{}", fmt::join(items, ",")), Setting::Kind::kList, place);
  }

  void add(const std::vector<std::string>& path, std::string value, Setting::Kind kind,
           const std::string& place) {
    out_.settings.push_back({path, std::move(value), kind, place});
  }

  void fail(const YAML::Node& node, const std::vector<std::string>& path, const char* what) {
    out_.errors.push_back(fmt::format("{}: {}: {}", where(node), fmt::join(path, "."), what));
  }

  std::string where(const YAML::Node& node) const {
    return fmt::format("{}:{}", file_, node.Mark().line + 1);
  }

  const std::string& file_;
  FileSettings& out_;
};

}  // namespace

std::string Setting::name() const {
  return fmt::format("{}", fmt::join(path, "."));
}

FileSettings parse_settings(std::string_view yaml, const std::string& file) {
  FileSettings out;
  try {
    const std::string text(yaml);
    const auto second = SecondDocument::line_of(text);
    const YAML::Node document = second ? YAML::Node() : YAML::Load(text);
    if (second) {
      out.errors.push_back(fmt::format("{}:{}: holds more than one document", file, *second));
    } else if (document.IsMap()) {
      Flattener(file, out).map(document, {});
    } else if (!document.IsNull()) {
      out.errors.push_back(
          fmt::format("{}:{}: is no map of keys such as 'cluster: shop'", file, document.Mark().line + 1));
    }
  } catch (const YAML::Exception& error) {
    out.settings.clear();
    out.errors.push_back(fmt::format("{}:{}: is no YAML: {}", file, error.mark.line + 1, error.msg));
  }
  return out;
}

FileSettings read_settings(const std::string& file) {
  auto text = read_file(file);
  if (!text) return {{}, {fmt::format("{}: cannot be read: {}", file, text.error())}};
  return parse_settings(*text, file);
}

}  // namespace refrain::cli

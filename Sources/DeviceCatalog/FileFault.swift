import Foundation

/// Why a file that somebody named cannot be read as text, and what to do.
package struct FileFault: Sendable {
  /// Why.
  package let reason: LocalizedText
  /// What to do.
  package let remedy: LocalizedText

  /// Looks for the reason why reading the file at `path` has just failed.
  package init(reading path: String) {
    let files = FileManager.default
    var isFolder: ObjCBool = false
    if unsafe !files.fileExists(atPath: path, isDirectory: &isFolder) {
      reason = LocalizedText(zh: "没有这个文件", en: "there is no such file")
      remedy = LocalizedText(
        zh: "检查路径；当前目录是 \(files.currentDirectoryPath)",
        en: "check the path; the current folder is \(files.currentDirectoryPath)"
      )
    } else if isFolder.boolValue {
      reason = LocalizedText(zh: "这是一个目录", en: "it is a folder")
      remedy = LocalizedText(zh: "指定一个文件", en: "name a file")
    } else if !files.isReadableFile(atPath: path) {
      reason = LocalizedText(zh: "没有读取权限", en: "permission denied")
      remedy = LocalizedText(zh: "让当前用户可读", en: "let this user read it")
    } else if let bytes = files.contents(atPath: path),
      String(validating: bytes, as: UTF8.self) == nil
    {
      let isUTF16 = bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF])
      reason =
        isUTF16
        ? LocalizedText(zh: "是 UTF-16 文本，不是 UTF-8", en: "it is UTF-16 text, not UTF-8")
        : LocalizedText(zh: "不是 UTF-8 文本（可能是 GBK）", en: "it is not UTF-8 text (GBK, perhaps)")
      remedy = LocalizedText(zh: "另存为 UTF-8", en: "save it as UTF-8")
    } else {
      reason = LocalizedText(zh: "读取出错", en: "reading it failed")
      remedy = LocalizedText(zh: "检查磁盘", en: "check the disk")
    }
  }
}

/// In containers that stand beside a value's own, the elements that mean the same as the value's.
///
/// Lives as long as a message is read. Each container is listed once, and its names at most once more: a walk to every
/// element would make a large message quadratic.
final class MappedCounterparts {
  private struct Container {
    /// Elements, or the values of members, whose names stand right before them.
    var elements: [Int] = []
    var byName: [[UInt8]: Int] = [:]

    init(_ document: JSONDocument, _ node: Int) {
      let isObject = document[node].kind == .object
      var child = node + 1
      elements.reserveCapacity(document[node].extra)
      for _ in 0..<document[node].extra {
        let element = isObject ? child + 1 : child
        elements.append(element)
        child = document.after(element)
      }
    }

    /// The value of the member with the name at `name`; most senders write both objects in the same order.
    mutating func member(_ document: JSONDocument, _ name: Int, near number: Int) -> Int? {
      if number < elements.count, document.isSameText(elements[number] - 1, name) {
        return elements[number]
      }
      return member(document, document.unescaped(name))
    }

    mutating func member(_ document: JSONDocument, _ name: [UInt8]) -> Int? {
      if byName.isEmpty {
        for element in elements { byName[document.unescaped(element - 1)] = element }
      }
      return byName[name]
    }
  }

  private var containers: [Int: Container] = [:]

  /// In the container at `node`, the member with the name at `name` or, without a name (−1), the element of this number.
  ///
  /// Members have no order and elements no names, so neither stands for the other: by its number a member would be another
  /// device's or point's.
  func find(_ document: JSONDocument, in node: Int, name: Int, number: Int) -> Int? {
    guard document[node].kind == (name >= 0 ? .object : .array) else { return nil }
    if name >= 0 {
      return containers[node, default: Container(document, node)]
        .member(document, name, near: number)
    }
    guard number < document[node].extra else { return nil }
    if containers[node] == nil { containers[node] = Container(document, node) }
    return containers[node]?.elements[number]
  }

  /// In the object at `node`, the value of the member called `name`.
  func member(_ document: JSONDocument, _ name: [UInt8], of node: Int) -> Int? {
    containers[node, default: Container(document, node)].member(document, name)
  }
}

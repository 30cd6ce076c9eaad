// Rows kept in order while single ones come, change and go: with ten thousand standing alarms a step must
// not cost a sort of all of them. Nothing here touches the document.

/** Rows in the order of `compare`; each is found again by the key under which it was put in place. */
export class SortedRows {
  constructor(compare) {
    this.compare = compare;
    this.list = [];
  }

  get length() { return this.list.length; }

  /** Takes all rows anew. */
  fill(rows) { this.list = [...rows].sort(this.compare); }

  /** Where a row stands or would stand. */
  place(row) {
    let low = 0, high = this.list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.compare(this.list[middle], row) < 0) low = middle + 1; else high = middle;
    }
    return low;
  }

  add(row) { this.list.splice(this.place(row), 0, row); }

  /** Takes out the very object that was added; answers whether it was there. */
  remove(row) {
    const at = this.place(row);
    if (this.list[at] !== row) return false;
    this.list.splice(at, 1);
    return true;
  }
}

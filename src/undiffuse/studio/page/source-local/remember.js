// Results of asynchronous work that is done once.

// The promise of `make()`, kept in a map under a key; a failure is not kept.
export function remember(map, key, make) {
  if (!map.has(key)) {
    const made = make();
    map.set(key, made);
    made.catch(() => map.delete(key));
  }
  return map.get(key);
}

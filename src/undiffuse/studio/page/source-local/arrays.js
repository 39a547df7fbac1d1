// Arithmetic on Float32Array, computed in float64 and rounded once.

// The sum of terms [weight, array], all of one length.
export function combine(...terms) {
  const sum = new Float32Array(terms[0][1].length);
  for (let i = 0; i < sum.length; i += 1) {
    let value = 0;
    for (const [weight, array] of terms) value += weight * array[i];
    sum[i] = value;
  }
  return sum;
}

export function concatenate(arrays) {
  const all = new Float32Array(arrays.reduce((size, one) => size + one.length, 0));
  let start = 0;
  for (const one of arrays) {
    all.set(one, start);
    start += one.length;
  }
  return all;
}

// The rows of an array (rows, D).
export function splitRows(array, rows) {
  const size = array.length / rows;
  return Array.from({ length: rows }, (_, row) => array.subarray(row * size, (row + 1) * size));
}

export function dot(one, other) {
  let sum = 0;
  for (let i = 0; i < one.length; i += 1) sum += one[i] * other[i];
  return sum;
}

export const norm = (array) => Math.sqrt(dot(array, array));

// The mean (D,) of rows.
export function mean(rows) {
  return combine(...rows.map((row) => [1 / rows.length, row]));
}

// The places of the largest values, largest first; equal ones in their order.
export function largest(values, count) {
  const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);
  return order.slice(0, count);
}

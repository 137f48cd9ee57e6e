// Where the reader of a conversation is. The page follows what grows at its end until the reader moves up; from then on nothing that
// changes moves what is being read, and nothing takes away what is selected.
'use strict'

// --- Places in a text
//
// An answer that ends is put in anew: its Markdown becomes HTML, which has the same letters and digits in other elements and without
// the signs between them. So a place is so many of them from the beginning, and what is around it tells where that is afterwards.

const letters = text => text.replace(/[^\p{L}\p{N}]+/gu, '')

function placeIn(text, node, offset) {
  const range = document.createRange()
  range.setStart(text, 0)
  range.setEnd(node, offset)
  return placeAt(text, letters(range.toString()).length)
}
function placeAt(text, at) {
  const all = letters(text.textContent)
  return { id: text.closest('.message').id, at, before: all.slice(Math.max(0, at - 64), at), after: all.slice(at, at + 64) }
}

// The text of a place as it is now, and how many letters are before it in there. What is around it is looked for, as much of it as
// possible and on both sides first; of equal ones the nearest is taken.
function indexOf({ id, at, before, after }) {
  const text = byId(id)?.querySelector('.text')
  if (!text) return null
  const all = letters(text.textContent)
  for (const [back, on] of [[1, 1], [0, 1], [1, 0]]) {
    for (let far = 64; far >= 8; far >>= 1) {
      const left = before.slice(Math.max(0, before.length - far * back))
      const part = left + after.slice(0, far * on)
      const found = part.length < 8 ? -1 : nearest(all, part, at - left.length)
      if (found >= 0) return { text, index: found + left.length }
    }
  }
  return { text, index: Math.min(at, all.length) }
}

function nearest(all, part, at) {
  const [before, after] = [all.lastIndexOf(part, at), all.indexOf(part, at)]
  if (before < 0 || after < 0) return Math.max(before, after)
  return at - before < after - at ? before : after
}

// The letter with so many before it, as a range; nothing at the end of the text.
function letterAt(text, index) {
  const nodes = document.createTreeWalker(text, NodeFilter.SHOW_TEXT)
  let before = 0
  while (nodes.nextNode()) {
    const { data } = nodes.currentNode
    const here = letters(data).length
    if (before + here <= index) { before += here; continue }
    let offset = 0
    for (const letter of data) {
      if (letters(letter)) {
        if (before >= index) {
          const range = document.createRange()
          range.setStart(nodes.currentNode, offset)
          range.setEnd(nodes.currentNode, offset + letter.length)
          return range
        }
        before += letter.length
      }
      offset += letter.length
    }
  }
  return null
}

// The first letter of a text that is below this line of the window.
function firstBelow(text, line) {
  const nodes = document.createTreeWalker(text, NodeFilter.SHOW_TEXT)
  const range = document.createRange()
  const isBelow = end => { range.setEnd(nodes.currentNode, end); return range.getBoundingClientRect().bottom > line }
  while (nodes.nextNode()) {
    const long = nodes.currentNode.data.length
    range.setStart(nodes.currentNode, 0)
    if (!long || !isBelow(long)) continue
    let [low, high] = [0, long - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (isBelow(middle + 1)) high = middle
      else low = middle + 1
    }
    return placeIn(text, nodes.currentNode, low)
  }
  return null
}

const topOf = place => {
  const found = indexOf(place)
  const letter = found && letterAt(found.text, found.index)
  return letter ? letter.getBoundingClientRect().top : null
}

// What is at the top of the window, and how far down.
function readersPlace() {
  const line = Math.max(0, document.querySelector('.top').getBoundingClientRect().bottom)
  for (const message of document.querySelectorAll('#turns .message')) {
    if (message.getBoundingClientRect().bottom <= line) continue
    const place = firstBelow(message.querySelector('.text'), line)
    const top = place && topOf(place)
    if (top !== null) return { ...place, top }
  }
  return null
}

// --- What is selected

function selected() {
  const selection = getSelection()
  if (selection.isCollapsed || !selection.rangeCount) return null
  const range = selection.getRangeAt(0)
  const textOf = node => (node.nodeType === Node.ELEMENT_NODE ? node : node.parentElement).closest('.message .text')
  const [from, to] = [textOf(range.startContainer), textOf(range.endContainer)]
  if (!from || !to) return null
  const start = placeIn(from, range.startContainer, range.startOffset)
  const end = placeIn(to, range.endContainer, range.endOffset)
  const last = placeAt(to, Math.max(0, end.at - 1))
  const isBackwards = selection.anchorNode !== range.startContainer || selection.anchorOffset !== range.startOffset
  return { start, last, isBackwards, nodes: [range.startContainer, range.endContainer] }
}

function selectAgain({ start, last, isBackwards, nodes }) {
  if (nodes.every(node => node.isConnected)) return
  const [first, end] = [start, last].map(indexOf)
  const from = first && letterAt(first.text, first.index)
  const to = end && letterAt(end.text, end.index)
  if (!from || !to) return
  const ends = [[from.startContainer, from.startOffset], [to.endContainer, to.endOffset]]
  if (isBackwards) ends.reverse()
  getSelection().setBaseAndExtent(...ends[0], ...ends[1])
}

// --- The page follows, or stays

// `moved` is told where a move of the reader's, by whatever means, leaves the page.
function following(moved) {
  const root = document.scrollingElement
  const rest = () => root.scrollHeight - root.scrollTop - root.clientHeight
  let lastTop = root.scrollTop
  // Where the page put itself: an event that finds it there tells of no move of the reader's, whatever grew since.
  let ours = lastTop
  const state = {
    follows: true,
    isAtEnd: () => rest() < 80,
    toEnd() { root.scrollTop = root.scrollHeight; ours = root.scrollTop },
    // Changes the page around a reader who stays where they are.
    keep(change) {
      const place = state.follows ? null : readersPlace()
      const selection = selected()
      const made = change()
      if (selection) selectAgain(selection)
      const top = place && topOf(place)
      if (top !== null && Math.abs(top - place.top) >= 1) {
        root.scrollTop += top - place.top
        ours = root.scrollTop
      }
      return made
    }
  }
  const letGo = () => { if (root.scrollTop > 0) { state.follows = false; moved() } }
  addEventListener('scroll', () => {
    // What grows below moves nothing, so a move upwards is the reader's; one that ends at the very end only lost what was there.
    const top = root.scrollTop
    if (top !== ours) {
      ours = -1
      if (top < lastTop) state.follows = rest() < 2
      else if (top > lastTop && state.isAtEnd()) state.follows = true
    }
    lastTop = top
    moved()
  }, { passive: true })
  // A smooth move up is small at first, and words that come meanwhile would undo it: so the wish alone lets go.
  addEventListener('wheel', event => { if (event.deltaY < 0) letGo() }, { passive: true })
  addEventListener('keydown', event => {
    const writes = event.target.closest?.('input, textarea, select')
    if (!writes && ['ArrowUp', 'PageUp', 'Home'].includes(event.key)) letGo()
  })
  let touched = 0
  addEventListener('touchstart', event => { touched = event.touches[0].clientY }, { passive: true })
  addEventListener('touchmove', event => {
    if (event.touches[0].clientY > touched + 4) letGo()
    touched = event.touches[0].clientY
  }, { passive: true })
  addEventListener('resize', () => { if (state.follows) state.toEnd() })
  return state
}

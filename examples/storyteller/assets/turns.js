// The turns of a conversation while it is open: each is put in as the server renders it, words that are being written as text. What
// did not change is left alone.
'use strict'

const turnOf = seq => byId(`turn-${seq}`)
const seqOf = turn => Number(turn.dataset.seq)

// `scroll` keeps the reader's place, `grown` is told when the turns have grown.
function showing(turns, scroll, grown) {
  const encoder = new TextEncoder()
  // When each turn was last put in anew.
  const renewed = new Map()
  // The turn that had the focus has left the page, and what takes its place is not here yet.
  let focusIsLost = false

  // Puts in a turn as the server renders it now.
  function put(fresh) {
    const seq = seqOf(fresh)
    const old = turnOf(seq)
    improve(fresh)
    if (old) renewed.set(seq, performance.now())
    scroll.keep(() => {
      if (old) renew(old, fresh)
      else turns.insertBefore(fresh, [...turns.children].find(turn => seqOf(turn) > seq) ?? null)
    })
    const turn = old ?? fresh
    refocus(turn)
    byId('nothing').hidden = true
    grown()
    return turn
  }

  const titles = 'form input[name="title"]'

  // What of a turn did not change stays as it is: with its pictures, and with what is selected or written in it.
  function renew(old, fresh) {
    const focused = old.contains(document.activeElement) ? document.activeElement : null
    const written = new Map([...old.querySelectorAll(titles)].map(title => [title.id, title.value]))
    for (const open of old.querySelectorAll('details[open]')) fresh.querySelector(`#${open.id}`)?.setAttribute('open', '')
    for (const name of old.getAttributeNames()) if (!fresh.hasAttribute(name)) old.removeAttribute(name)
    for (const name of fresh.getAttributeNames()) old.setAttribute(name, fresh.getAttribute(name))
    let at = old.firstElementChild
    const leave = until => { while (at !== until) { const gone = at; at = at.nextElementSibling; gone.remove() } }
    for (const piece of [...fresh.children]) {
      let same = at
      while (same && !isSame(same, piece)) same = same.nextElementSibling
      if (same) { leave(same); at = same.nextElementSibling } else old.insertBefore(piece, at)
    }
    leave(null)
    for (const title of old.querySelectorAll(titles)) if (written.has(title.id)) title.value = written.get(title.id)
    if (focused && !focused.isConnected) sameAs(focused, old).focus({ preventScroll: true })
  }

  // An answer that is being written may have words here that are not stored yet.
  function isSame(shown, piece) {
    if (shown.isEqualNode(piece)) return true
    const isWritten = shown.id && shown.id === piece.id && [shown, piece].every(one => one.hasAttribute('data-streaming'))
    return isWritten && Number(shown.dataset.bytes) >= Number(piece.dataset.bytes)
  }

  function remove(turn) {
    if (!turn) return
    focusIsLost ||= turn.contains(document.activeElement)
    turn.remove()
  }

  function refocus(turn) {
    if (!focusIsLost) return
    focusIsLost = false
    const isFree = !document.activeElement || document.activeElement === document.body
    if (isFree) (turn ?? byId('text') ?? byId('main')).focus({ preventScroll: true })
  }

  // What takes the place of what had the focus. A button that is gone leaves it to its turn, and not to the question: that would
  // open the keyboard of a phone.
  function sameAs(focused, fresh) {
    if (focused.id) return byId(focused.id) ?? fresh
    return [...fresh.querySelectorAll('a')].find(link => link.href === focused.href) ?? fresh
  }

  // An answer that begins: nothing of it is written yet.
  function begin(seq, message) {
    const turn = turnOf(seq)
    const fresh = byId('answer').content.firstElementChild.cloneNode(true)
    Object.assign(fresh, { id: `message-${message}` })
    fresh.dataset.message = message
    fresh.querySelector('bdi').textContent = turn.dataset.teller ?? ''
    turn.insertBefore(fresh, turn.querySelector('.foot'))
    grown()
  }

  // Appends what of a piece is not there yet. Whether it fits; if not, something before it is missing.
  function append(message, offset, piece) {
    const have = Number(message.dataset.bytes)
    if (offset > have) return false
    if (!message.hasAttribute('data-streaming')) return true
    const bytes = encoder.encode(piece)
    if (offset + bytes.length <= have) return true
    const rest = new TextDecoder().decode(bytes.subarray(have - offset))
    message.querySelector('.text').append(document.createTextNode(rest))
    message.dataset.bytes = offset + bytes.length
    grown()
    return true
  }

  // How high a picture is, is known when it is there.
  turns.addEventListener('load', grown, true)
  return { put, remove, refocus, begin, append, renewedAt: seq => renewed.get(Number(seq)) ?? 0 }
}

// The form of a question. Whether it can be sent is seen before, and what is written is not lost: not by a reload, and not when the
// page has to be left because nobody is signed in any more. `note` says what is wrong, `grown` is told when the form grows.
'use strict'

const isTouched = matchMedia('(hover: none) and (pointer: coarse)')

function composing(form, note, grown) {
  const text = byId('text')
  const picture = byId('picture')
  const teller = byId('teller')
  const draft = DRAFT + byId('conversation').dataset.path
  let tried = null

  const question = () => ({ text: text.value, teller: teller.value, picture: picture.files[0] })
  function anew() {
    const bytes = [...crypto.getRandomValues(new Uint8Array(24))]
    form.elements.key.value = bytes.map(byte => byte.toString(16).padStart(2, '0')).join('')
  }

  function isReady() {
    const now = question()
    if (!now.text.trim() && !now.picture) { note('Write something first.'); text.focus(); return false }
    if (!now.teller) { note('Choose who is to answer.'); teller.focus(); return false }
    if (!isShort()) { note(`This question is too long: ${byId('count').textContent}.`); return false }
    // A key says that two tries are one question. Whoever says something else means another one.
    if (tried && Object.keys(now).some(part => now[part] !== tried[part])) anew()
    tried = now
    return true
  }

  // --- The picture

  // A file that cannot be sent leaves the form at once, so that the question can go without it.
  function look() {
    const file = picture.files[0]
    const most = Number(picture.dataset.most) * 1_000_000
    const kinds = picture.accept.split(',')
    const problem = !file ? '' : file.size > most ? 'This picture is too large.' : kinds.includes(file.type) ? '' : 'This is none of these pictures.'
    if (problem) picture.value = ''
    const isChosen = Boolean(file) && !problem
    byId('picture-name').textContent = isChosen ? `: ${file.name}` : ''
    byId('picture-remove').hidden = !isChosen
    byId('picture-about').classList.toggle('problem', Boolean(problem))
    note(problem)
    return isChosen
  }

  // A question has one picture, however many are dropped.
  function take(files) {
    if (!files.length) return
    const one = new DataTransfer()
    one.items.add(files[0])
    picture.files = one.files
    if (look() && files.length > 1) note('One picture at a time: the first one was taken.')
  }

  picture.addEventListener('change', look)
  byId('picture-remove').addEventListener('click', () => { picture.value = ''; look(); picture.focus() })
  // Files are taken anywhere on the page; words that are dropped go where they are dropped.
  const hasFiles = event => event.dataTransfer?.types.includes('Files')
  addEventListener('dragover', event => { if (hasFiles(event)) event.preventDefault() })
  addEventListener('drop', event => {
    if (!hasFiles(event)) return
    event.preventDefault()
    take(event.dataTransfer.files)
  })

  // --- The text

  // Near its limit the length is shown, and nothing is cut.
  function isShort() {
    const most = Number(text.dataset.most)
    const length = [...text.value.trim()].length
    const count = byId('count')
    count.hidden = length < most * 0.9
    count.textContent = `${length.toLocaleString('en')} of ${most.toLocaleString('en')} characters`
    count.classList.toggle('problem', length > most)
    return length <= most
  }

  function grow() {
    text.style.height = 'auto'
    text.style.height = `${Math.min(text.scrollHeight + 2, innerHeight / 3)}px`
    isShort()
    grown()
  }

  function keepDraft() {
    if (!text.value) sessionStorage.removeItem(draft)
    else keep(draft, text.value)
  }

  text.addEventListener('input', () => { keepDraft(); grow() })
  text.addEventListener('keydown', event => {
    // Enter that ends a composition, as in Japanese, is none of ours: one browser says so by its number alone. The keyboard of a
    // phone has no other key for a new line.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229 || isTouched.matches) return
    event.preventDefault()
    form.requestSubmit()
  })

  // What was sent leaves the form; what was written since stays in it.
  function sent(question) {
    if (text.value === question.text) text.value = ''
    if (picture.files[0] === question.picture) { picture.value = ''; look() }
    tried = null
    anew()
    keepDraft()
    grow()
    // Whoever went on to something else meanwhile stays there.
    const at = document.activeElement
    if (!at || at === document.body || form.contains(at)) text.focus()
  }

  // Who can be asked, as a page of now says. Whoever was chosen and is gone stays chosen no more, and is named.
  function offer(page) {
    const now = page.getElementById('teller')
    if (teller.localName !== 'select' || now?.localName !== 'select') return
    const chosen = teller.selectedOptions[0]
    teller.replaceChildren(...[...now.options].map(option => document.importNode(option, true)))
    if (!chosen) teller.selectedIndex = -1
    else {
      teller.value = chosen.value
      if (!teller.value) note(`${chosen.textContent} is gone. Choose who is to answer.`)
    }
  }

  text.value ||= sessionStorage.getItem(draft) ?? ''
  if (text.value) grow()
  return { question, isReady, sent, offer }
}

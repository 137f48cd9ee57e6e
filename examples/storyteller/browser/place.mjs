// What is being read stays where it is, whatever happens around it: an answer that ends, a turn that is put in anew, a picture.
import { check, same, until } from './check.mjs'
import { Visitor, answer, settled, words } from './visitor.mjs'

// Written, it has other signs and other lines than it has as HTML.
const PART = at => `## Part ${at}\n\n| a | b |\n|---|---|\n| one | two |\n\n- [item](https://example.org/${at}) one\n- item **two**\n\nMARK${at}x is a sentence of *many* words, which goes on for a while, so that it has more than one line of the page, or nearly so.\n\n`

// An answer that does not end before it is told to.
function held(model, text) {
  let end
  model.replies.push({ text, until: new Promise(done => { end = done }) })
  return end
}

// Where the marks are which can be seen.
const marks = page => page.evaluate(() => {
  const text = [...document.querySelectorAll('.message.assistant .text')].at(-1)
  const nodes = document.createTreeWalker(text, NodeFilter.SHOW_TEXT)
  const whole = []
  while (nodes.nextNode()) {
    for (const found of nodes.currentNode.data.matchAll(/MARK\d+x/g)) {
      const range = document.createRange()
      range.setStart(nodes.currentNode, found.index)
      range.setEnd(nodes.currentNode, found.index + found[0].length)
      whole.push([found[0], range.getBoundingClientRect().top])
    }
  }
  return whole.filter(([, top]) => top > 60 && top < innerHeight)
})
// What the browser itself moves it moves before it draws.
const drawn = page => page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))))

export async function staying(browser, app, model) {
  for (const [name, viewport] of [['a desktop', { width: 1280, height: 800 }], ['a phone', { width: 390, height: 844 }]]) {
    const ann = await Visitor.come(browser, app.url, `Ann on ${name}`, { viewport })
    const { page } = ann
    await ann.hire('Tolstoy')
    await ann.startThread()
    const pace = model.pace
    model.pace = 2
    const end = held(model, Array.from({ length: 24 }, (_, at) => PART(at)).join(''))
    await ann.ask('A long one')
    await until('all of it is there', async () => /MARK23x[^]*nearly so\.$/.test(await answer(page)))
    model.pace = pace
    // One of the marks is put at the top of what can be read.
    await page.mouse.move(300, 300)
    await page.mouse.wheel(0, -10)
    const mark = 'MARK15x'
    await page.evaluate(mark => {
      const nodes = document.createTreeWalker([...document.querySelectorAll('.message.assistant .text')].at(-1), NodeFilter.SHOW_TEXT)
      while (nodes.nextNode()) {
        const at = nodes.currentNode.data.indexOf(mark)
        if (at < 0) continue
        getSelection().setBaseAndExtent(nodes.currentNode, at, nodes.currentNode, at + mark.length)
        const top = getSelection().getRangeAt(0).getBoundingClientRect().top
        scrollBy(0, top - document.querySelector('.top').getBoundingClientRect().bottom - 5)
      }
    }, mark)
    await drawn(page)
    const before = Object.fromEntries(await marks(page))
    end()
    await settled(page, 'done')
    await drawn(page)
    const after = Object.fromEntries(await marks(page))
    check(`what is read stays where it is when the answer ends (${name})`, Math.abs(after[mark] - before[mark]) <= 2, JSON.stringify([before, after]))
    same(`what is selected stays selected (${name})`, mark, await page.evaluate(() => getSelection().toString()))
    check('no page complained', ann.complaints.length === 0, ann.complaints.join('\n'))
    await ann.context.close()
  }
}

export async function illustrated(browser, app, model) {
  const pia = await Visitor.come(browser, app.url, 'Pia', { viewport: { width: 800, height: 600 } })
  const { page } = pia
  await pia.hire('Tolstoy')
  await pia.startThread()
  const buffer = await page.screenshot()
  const rest = page => page.evaluate(() => document.scrollingElement.scrollHeight - innerHeight - scrollY)
  const end = held(model, 'A page with a form on it.')
  await page.locator('#picture').setInputFiles({ name: 'page.png', mimeType: 'image/png', buffer })
  await pia.ask('What is this?')
  await words(page, 7)
  await page.locator('.picture img').evaluate(image => { window.picture = image; return image.decode() })
  end()
  await settled(page, 'done')
  check('a picture is loaded once, whatever becomes of its turn', await page.evaluate(() => window.picture.isConnected))
  await drawn(page)
  check('and the page is at its end', await rest(page) < 2, await rest(page))

  // As over a slow network: the page is there, its pictures are not, and without them it is shorter than its window.
  model.replies.push('Another page.')
  await page.locator('#picture').setInputFiles({ name: 'another.png', mimeType: 'image/png', buffer })
  await pia.ask('And this?')
  await until('the second answer', async () => await answer(page) === 'Another page.')
  let release
  const waiting = new Promise(done => { release = done })
  const tab = await pia.tab()
  await tab.route('**/pictures/*', async route => { await waiting; await route.continue() })
  await tab.goto(page.url(), { waitUntil: 'domcontentloaded' })
  await until('the page is connected', () => tab.locator('#conversation').getAttribute('data-connected'))
  release()
  for (const image of await tab.locator('.picture img').all()) await image.evaluate(image => image.decode())
  await drawn(tab)
  check('a thread opens at its newest, whenever its pictures come', await rest(tab) < 2, await rest(tab))
  check('no page complained', pia.complaints.length === 0, pia.complaints.join('\n'))
  await pia.context.close()
}

// The place of those who use the keyboard: a button that is pressed leaves with its turn.
export async function focused(browser, app, model) {
  const fay = await Visitor.come(browser, app.url, 'Fay')
  const { page } = fay
  await fay.hire('Tolstoy')
  await fay.startThread()
  const isInTurn = () => page.evaluate(() => Boolean(document.activeElement.closest('.turn')))
  const press = name => page.getByRole('button', { name }).press('Enter')
  model.replies.push(400, 'One answer.', 'Another answer.')
  await fay.ask('Something')
  await settled(page, 'failed')
  await press('Try again')
  await until('an answer', async () => await answer(page) === 'One answer.')
  await settled(page, 'done')
  check('the focus is in the turn after Try again', await isInTurn())
  await press('Another answer')
  await until('another', async () => await answer(page) === 'Another answer.')
  await settled(page, 'done')
  check('and after Another answer', await isInTurn())
  await press('Earlier')
  await until('the earlier one', async () => await answer(page) === 'One answer.')
  check('and after Earlier', await isInTurn())

  const menu = page.locator('details.menu')
  const isOpen = () => menu.evaluate(menu => menu.open)
  await menu.locator('summary').press('Enter')
  check('the menu opens', await isOpen())
  await page.keyboard.press('Escape')
  check('Escape closes it', !await isOpen() && await page.evaluate(() => document.activeElement.matches('summary')))
  await menu.locator('summary').click()
  await page.mouse.click(20, 700)
  check('and so does a click beside it', !await isOpen())

  const copy = page.locator('[data-copy]')
  await page.evaluate(() => { navigator.clipboard.writeText = async () => {} })
  await copy.click()
  await until('it is told', async () => await page.getByRole('status').textContent() === 'Copied')
  check('that an answer was copied is told', true)
  await page.evaluate(() => { navigator.clipboard.writeText = async () => { throw new DOMException('no', 'NotAllowedError') } })
  await copy.click()
  await until('it is said', async () => /does not allow/.test(await copy.textContent()))
  check('a browser that allows no copy is named', true)
  check('no page complained', fay.complaints.length === 0, fay.complaints.join('\n'))
  await fay.context.close()
}

// What is written into the form of a question and not sent yet: its text, its picture, who is to answer it.
import { Buffer } from 'node:buffer'
import { check, same, until } from './check.mjs'
import { Visitor, answer, settled } from './visitor.mjs'

const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPj/HwADBwIAMCbHYQAAAABJRU5ErkJggg==', 'base64')

export async function attaching(browser, app, model) {
  const pam = await Visitor.come(browser, app.url, 'Pam')
  const { page } = pam
  await pam.hire('Tolstoy')
  await pam.startThread()
  const note = page.locator('#note')
  const file = page.locator('#picture')
  await file.setInputFiles({ name: 'notes.pdf', mimeType: 'application/pdf', buffer: Buffer.from('x') })
  check('a file that is no picture is refused', await page.getByText('This is none of these pictures.').isVisible())
  model.replies.push('The first answer.', 'The second answer.', 'The third answer.')
  await pam.ask('Words alone')
  await settled(page, 'done')
  same('and the question goes without it', 'The first answer.', await answer(page))

  await file.setInputFiles({ name: 'dot.png', mimeType: 'image/png', buffer: PNG })
  await page.getByRole('button', { name: 'Remove the picture' }).click()
  same('a chosen picture can be taken away', 0, await file.evaluate(input => input.files.length))
  await pam.ask('Words alone again')
  await until('the second', async () => await answer(page) === 'The second answer.')
  same('and is not sent', 0, await page.locator('.picture').count())

  await page.evaluate(base64 => {
    const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0))
    const dataTransfer = new DataTransfer()
    for (const name of ['first.png', 'second.png']) dataTransfer.items.add(new File([bytes], name, { type: 'image/png' }))
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }))
  }, PNG.toString('base64'))
  check('of two files that are dropped it is said that one is taken', /One picture at a time/.test(await note.textContent()))
  const shown = await page.locator('#picture-name').textContent()
  await pam.ask('What is this?')
  await until('the third', async () => await answer(page) === 'The third answer.')
  same('and the one that the form names is sent', shown, `: ${await page.locator('.picture img').getAttribute('alt')}`)

  await pam.hire('Brief')
  const brief = page.url()
  await page.goBack()
  await page.goBack()
  await page.waitForURL(/threads\/\d+$/)
  await page.reload()
  await page.getByLabel('Answered by').selectOption({ label: 'Brief' })
  const tab = await pam.tab()
  await tab.goto(brief)
  await tab.getByLabel('I am sure').check()
  await tab.getByRole('button', { name: 'Delete' }).click()
  await tab.waitForURL('**/storytellers')
  await pam.ask('Are you there?')
  await until('it is said', async () => /Brief is gone/.test(await note.textContent()))
  check('a storyteller who was deleted elsewhere is named', true)
  model.replies.push('The fourth answer.')
  await page.getByLabel('Answered by').selectOption({ label: 'Tolstoy' })
  await page.getByLabel('Your question').press('Enter')
  await until('the fourth', async () => await answer(page) === 'The fourth answer.')
  check('and another one can be chosen', true)
  check('no page complained', pam.complaints.length === 0, pam.complaints.join('\n'))
  await pam.context.close()
}

export async function drafting(browser, app, model) {
  const dan = await Visitor.come(browser, app.url, 'Dan')
  const { page } = dan
  await dan.hire('Tolstoy')
  const thread = await dan.startThread()
  const text = page.getByLabel('Your question')
  const drafts = () => page.evaluate(() => Object.keys(sessionStorage).length)
  await text.fill('A draft')
  await page.reload()
  same('a draft outlives a reload', 'A draft', await text.inputValue())
  model.replies.push('An answer.')
  await text.press('Enter')
  await settled(page, 'done')
  await page.reload()
  same('what was sent is no draft', '', await text.inputValue())

  await text.fill('Another draft')
  await dan.context.clearCookies()
  await page.reload()
  await page.waitForURL(/sign-in/)
  await dan.signIn('Dan')
  await page.goto(thread)
  same('a draft outlives the end of a session', 'Another draft', await text.inputValue())

  // Another tab meets the end of the session first: nobody has signed out.
  const tab = await dan.tab()
  await dan.context.clearCookies()
  await tab.goto('/threads')
  await page.waitForURL(/sign-in/)
  await dan.signIn('Dan')
  await page.goto(thread)
  same('and so it does in another tab', 'Another draft', await text.inputValue())

  // Two tabs: what one of them ends, the other leaves.
  await tab.goto('/sign-in')
  await tab.goto('/account')
  same('a look at the page for signing in ends nothing', thread, page.url())
  await tab.getByRole('button', { name: 'Sign out' }).click()
  await tab.waitForURL('**/sign-in')
  await page.waitForURL(/sign-in/)
  check('the other tabs leave at a sign-out', true)
  same('no draft is left of who has signed out', 0, await drafts())
  check('no page complained', dan.complaints.length === 0, dan.complaints.join('\n'))
  await dan.context.close()
}

// The keys of a phone, and of those who compose letters.
export async function touching(browser, app) {
  const kim = await Visitor.come(browser, app.url, 'Kim', { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true })
  await kim.hire('Tolstoy')
  await kim.startThread()
  const text = kim.page.getByLabel('Your question')
  await text.fill('One line')
  await text.press('Enter')
  await kim.page.keyboard.type('and another')
  same('on a phone Enter is a new line', 'One line\nand another', await text.inputValue())
  await kim.context.close()

  const yui = await Visitor.come(browser, app.url, 'Yui')
  await yui.hire('Tolstoy')
  await yui.startThread()
  await yui.page.getByLabel('Your question').fill('物語')
  const isOurs = keyCode => yui.page.evaluate(keyCode => {
    const event = new KeyboardEvent('keydown', { key: 'Enter', keyCode, bubbles: true, cancelable: true })
    document.addEventListener('submit', event => event.stopImmediatePropagation() ?? event.preventDefault(), { capture: true, once: true })
    document.querySelector('#text').dispatchEvent(event)
    return event.defaultPrevented
  }, keyCode)
  check('an Enter that ends a composition sends nothing', !await isOurs(229) && await isOurs(13))
  await yui.context.close()
}

// A page whose clock stands still comes back only because it is told to.
export async function returning(browser, app) {
  const ron = await Visitor.come(browser, app.url, 'Ron')
  const { page } = ron
  await ron.hire('Tolstoy')
  await page.clock.install()
  await ron.startThread()
  const isConnected = () => page.locator('#conversation').getAttribute('data-connected')
  await until('it is connected', isConnected)
  await page.clock.pauseAt(Date.now() + 3_600_000)
  let refused
  const refusal = new Promise(done => { refused = done })
  await page.route('**/events*', async route => { await route.fulfill({ status: 503 }); refused() })
  await app.kill()
  await app.start()
  await refusal
  await page.unroute('**/events*')
  await page.evaluate(() => dispatchEvent(new Event('online')))
  await until('it is connected again', isConnected)
  check('a page that is online again comes back at once', true)
  await ron.context.close()
}

// The form of a question: nothing that was written is lost, whatever happens to the connection.
import { check, same, until } from './check.mjs'
import { Visitor, answer, settled, state, words } from './visitor.mjs'

export async function asking(browser, app, model) {
  const ira = await Visitor.come(browser, app.url, 'Ira')
  const page = ira.page
  await ira.hire('Tolstoy')
  await ira.startThread()
  const text = page.getByLabel('Your question')
  const note = page.locator('#note')
  const turns = () => page.locator('.turn').count()

  // The title comes while another one is being written.
  await page.getByText('Thread', { exact: true }).click()
  await page.getByLabel('Title').fill('Of my own')
  model.replies.push('The first answer.', 'The second answer.', 'The third answer.')
  // The question arrives, its answer does not. The route stays: what the page asks for while one is taken away may get no answer.
  let isLost = true
  await page.route('**/messages', async route => {
    if (!isLost) return route.fallback()
    isLost = false
    await route.fetch()
    await route.abort()
  })
  await ira.ask('A question')
  await until('it is said', () => note.isVisible())
  await ira.ask('The same question in other words')
  await until('both are there', async () => await turns() === 2)
  await settled(page, 'done')
  same('other words are another question', 'The second answer.', await answer(page))
  await until('a title', async () => await page.locator('#title').textContent() === model.title)
  same('a title that is being written is left alone', 'Of my own', await page.getByLabel('Title').inputValue())

  const renewed = await page.evaluate(() => {
    const seen = new MutationObserver(() => {})
    seen.observe(document.querySelector('#note'), { childList: true })
    for (let time = 0; time < 2; time++) document.querySelector('#ask').requestSubmit()
    return seen.takeRecords().length
  })
  same('the same words are not read aloud twice', 1, renewed)

  // While one is on its way: no second one, and nothing that is written is taken away.
  let arrived
  const held = new Promise(done => { arrived = done })
  let isHeld = true
  await page.route('**/messages', async route => {
    if (!isHeld) return route.fallback()
    isHeld = false
    const response = await route.fetch()
    await held
    await route.fulfill({ response })
  })
  await text.fill('A third question')
  await page.keyboard.press('Enter')
  await text.fill('A third question, and more')
  await page.keyboard.press('Enter')
  await until('it is said', async () => /on its way/.test(await note.textContent()))
  await page.locator('.menu summary').focus()
  arrived()
  await settled(page, 'done')
  await until('all are there', async () => await turns() === 3)
  same('what was written meanwhile stays', 'A third question, and more', await text.inputValue())
  check('and whoever went elsewhere is not brought back', await page.evaluate(() => document.activeElement.matches('summary')))

  await text.fill('x'.repeat(18_500))
  check('near its limit a question is counted', await page.getByText('18,500 of 20,000 characters').isVisible())
  await text.fill('x'.repeat(20_001))
  await page.keyboard.press('Enter')
  check('one that is too long is not sent', /too long: 20,001/.test(await note.textContent()))
  same('and not cut', 20_001, (await text.inputValue()).length)
  await text.fill('')

  const prevented = type => page.evaluate(type => {
    const dataTransfer = new DataTransfer()
    if (type === 'file') dataTransfer.items.add(new File(['x'], 'x.png', { type: 'image/png' }))
    else dataTransfer.setData('text/plain', 'words')
    const event = new DragEvent('dragover', { dataTransfer, bubbles: true, cancelable: true })
    document.querySelector('#text').dispatchEvent(event)
    return event.defaultPrevented
  }, type)
  check('words can be dropped into the question, files anywhere', !await prevented('text') && await prevented('file'))

  // The button that takes the place of Stop is not hit by its second click.
  model.replies.push('A long story of many, many words. '.repeat(60))
  await ira.ask('A long one')
  await words(page, 5)
  await page.evaluate(() => new Promise(done => {
    new MutationObserver((_, observer) => {
      const again = document.querySelector('.turn:last-child [id^="retry-"]')
      if (!again) return
      observer.disconnect()
      again.click()
      done()
    }).observe(document.querySelector('#turns'), { childList: true, subtree: true })
    document.querySelector('.turn:last-child [id^="stop-"]').click()
  }))
  await settled(page, 'stopped')
  check('a double click on Stop stops', await turns() === 4 && await state(page) === 'stopped')
  await page.reload()
  same('and does nothing else', 'stopped', await state(page))
  check('no page complained', ira.complaints.length === 0, ira.complaints.join('\n'))
  await ira.context.close()
}

// A model takes its time for the title, and the page is loaded meanwhile.
export async function titled(browser, app, model) {
  const tia = await Visitor.come(browser, app.url, 'Tia')
  const { page } = tia
  await tia.hire('Tolstoy')
  await tia.startThread()
  const { title } = model
  let name
  model.title = new Promise(done => { name = done })
  model.replies.push('The first answer.')
  await tia.ask('A question')
  await settled(page, 'done')
  await page.reload()
  same('there is no title yet', 'Untitled', await page.locator('#title').textContent())
  name('A late title')
  await until('a title', async () => await page.locator('#title').textContent() === 'A late title')
  check('a title that comes after the page is shown', (await page.title()).startsWith('A late title'))
  model.title = title
  check('no page complained', tia.complaints.length === 0, tia.complaints.join('\n'))
  await tia.context.close()
}

export async function chatting(browser, app, model) {
  const cho = await Visitor.come(browser, app.url, 'Cho')
  const page = cho.page
  await page.getByRole('link', { name: 'Chats' }).click()
  await page.getByRole('button', { name: 'New chat' }).click()
  await page.waitForURL(/chats\/\d+$/)
  model.replies.push('A beginning, a middle and an end, and now and then all of them in another order.')
  await cho.ask('What makes a story?')
  await words(page, 3)
  await settled(page, 'done')
  check('a chat is answered by a model', (await answer(page)).endsWith('another order.') && await page.locator('.message.assistant strong').textContent() === 'scripted')
  await page.getByText('Chat', { exact: true }).click()
  await page.getByLabel('Title').fill('About stories')
  await page.getByRole('button', { name: 'Rename' }).click()
  check('a chat is renamed', await page.getByRole('heading', { name: 'About stories' }).isVisible())
  await page.getByText('Chat', { exact: true }).click()
  await page.getByLabel('I am sure').check()
  await page.getByRole('button', { name: 'Delete this chat' }).click()
  await page.waitForURL('**/chats')
  check('and deleted', await page.getByText('No chats yet.').isVisible())
  check('no page complained', cho.complaints.length === 0, cho.complaints.join('\n'))
  await cho.context.close()
}

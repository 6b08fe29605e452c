FROM python:3.12-slim

# Nothing is written next to the code, and the logs are not kept back.
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

WORKDIR /srv/echo
COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.txt
COPY server.py gunicorn.conf.py LICENSE ./
COPY echo echo
COPY static static
COPY templates templates

RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin echo
USER 10001

# With PORT in the environment the service listens on all addresses.
ENV PORT=8000
EXPOSE 8000

# No shell in between: the signal that stops the container reaches the service.
CMD ["python", "server.py"]
